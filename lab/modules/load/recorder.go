package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// kind is what a request ended as; a report counts requests per kind.
type kind struct {
	Version string `json:"version"`
	Code    uint16 `json:"code"`
	Error   string `json:"error"`
}

type hit struct {
	sent    int64 // Unix nanoseconds
	latency time.Duration
	kind    uint32 // index into recorder.kinds
}

// callerPort is what makes each connection's error text another one.
var callerPort = regexp.MustCompile(`[0-9.]+:[0-9]+->`)

// recorder runs at most one attack and remembers every answer since the pod started.
type recorder struct {
	lock     sync.Mutex
	hits     []hit
	kinds    []kind
	index    map[kind]uint32
	attacker *vegeta.Attacker
	done     chan struct{}
}

func newRecorder() http.Handler {
	r := &recorder{index: map[kind]uint32{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/start", r.start)
	mux.HandleFunc("/stop", r.stop)
	mux.HandleFunc("/report", r.report)
	return mux
}

func (r *recorder) start(w http.ResponseWriter, q *http.Request) {
	rate, err := strconv.Atoi(q.FormValue("rate"))
	if err != nil || rate < 1 {
		http.Error(w, "rate is a positive number of requests a second", http.StatusBadRequest)
		return
	}
	duration, err := time.ParseDuration(q.FormValue("duration")) // 0s: until stopped
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	timeout, err := time.ParseDuration(q.FormValue("timeout"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.attacker != nil {
		http.Error(w, "load is running already", http.StatusConflict)
		return
	}
	r.attacker = vegeta.NewAttacker(
		vegeta.KeepAlive(q.FormValue("keepalive") == "true"),
		vegeta.Timeout(timeout),
		vegeta.MaxBody(0),
		vegeta.HTTP2(false),
	)
	r.done = make(chan struct{})
	targets := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: q.FormValue("url")})
	results := r.attacker.Attack(targets, vegeta.ConstantPacer{Freq: rate, Per: time.Second}, duration, "")
	go r.collect(results, r.done)
	fmt.Fprintln(w, time.Now().UnixNano())
}

func (r *recorder) collect(results <-chan *vegeta.Result, done chan<- struct{}) {
	for result := range results {
		r.lock.Lock()
		r.record(result)
		r.lock.Unlock()
	}
	r.lock.Lock()
	r.attacker = nil
	r.lock.Unlock()
	close(done)
}

func (r *recorder) record(result *vegeta.Result) {
	k := kind{Version: result.Headers.Get("x-version"), Code: result.Code}
	if result.Code == 0 { // no answer at all; vegeta also repeats a bad status as an error, which we need not
		k.Error = callerPort.ReplaceAllString(result.Error, "")
	}
	i, known := r.index[k]
	if !known {
		i = uint32(len(r.kinds))
		r.kinds, r.index[k] = append(r.kinds, k), i
	}
	r.hits = append(r.hits, hit{result.Timestamp.UnixNano(), result.Latency, i})
}

// stop ends the attack and waits for the answers still under way, so that the report after it is complete.
func (r *recorder) stop(w http.ResponseWriter, _ *http.Request) {
	r.lock.Lock()
	attacker, done := r.attacker, r.done
	r.lock.Unlock()
	if attacker != nil {
		attacker.Stop()
		<-done
	}
	fmt.Fprintln(w, time.Now().UnixNano())
}

type counted struct {
	kind
	Count int   `json:"count"`
	First int64 `json:"first_ns"` // when the first of them was sent, and the last; Unix nanoseconds
	Last  int64 `json:"last_ns"`
}

type summary struct {
	Total  int       `json:"total"`
	P50    float64   `json:"p50_ms"`
	P99    float64   `json:"p99_ms"`
	Max    float64   `json:"max_ms"`
	Now    int64     `json:"now_ns"`
	Counts []counted `json:"counts"`
}

// report sums up the requests sent in [since, until) (Unix nanoseconds; without them: all).
func (r *recorder) report(w http.ResponseWriter, q *http.Request) {
	since, _ := strconv.ParseInt(q.FormValue("since"), 10, 64)
	until, err := strconv.ParseInt(q.FormValue("until"), 10, 64)
	if err != nil {
		until = 1<<63 - 1
	}
	_ = json.NewEncoder(w).Encode(r.sum(since, until))
}

func (r *recorder) sum(since, until int64) summary {
	r.lock.Lock()
	defer r.lock.Unlock()
	counts := make([]counted, len(r.kinds))
	latencies := make([]time.Duration, 0, len(r.hits))
	for _, h := range r.hits {
		if h.sent >= since && h.sent < until {
			counts[h.kind].add(h.sent)
			latencies = append(latencies, h.latency)
		}
	}
	slices.Sort(latencies)
	s := summary{
		Total: len(latencies), Now: time.Now().UnixNano(), Counts: []counted{},
		P50: quantile(latencies, 0.50), P99: quantile(latencies, 0.99), Max: quantile(latencies, 1),
	}
	for i, one := range counts {
		if one.Count > 0 {
			one.kind = r.kinds[i]
			s.Counts = append(s.Counts, one)
		}
	}
	return s
}

func (c *counted) add(sent int64) {
	if c.Count == 0 {
		c.First, c.Last = sent, sent
	}
	c.Count, c.First, c.Last = c.Count+1, min(c.First, sent), max(c.Last, sent)
}

// quantile is the exact one (nearest rank) of sorted latencies, in milliseconds; 0 when there are none.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(q*float64(len(sorted))+0.999999) - 1
	return float64(sorted[max(rank, 0)].Microseconds()) / 1000
}
