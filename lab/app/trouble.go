package main

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// trouble decides which requests fail: a share of them all, in runs of so many, one right after the other.
type trouble struct {
	lock  sync.Mutex
	share float64
	run   int
	left  int // of the run that has begun
}

func (t *trouble) strikes() bool {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.left > 0 {
		t.left--
		return true
	}
	// runs begin among the requests between them, of which there are fewer than there are requests
	if rand.Float64()*(t.share+float64(t.run)*(1-t.share)) >= t.share {
		return false
	}
	t.left = t.run - 1
	return true
}

// set changes the share from now on.
func (t *trouble) set(share float64) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.share = share
}

var dependencies = http.Client{Timeout: 2 * time.Second}

func answers(url string) bool {
	answer, err := dependencies.Get(url)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode < http.StatusInternalServerError
}
