package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"sync"
	"time"
)

// patience is how long one call may take.
const patience = 5 * time.Second

// caller makes one call; nil means that it was answered as it should be.
type caller func(context.Context) error

// account is what became of the calls of one target that ended within a second or so; errors tell each failure apart.
type account struct {
	At     float64        `json:"at"` // Unix seconds, at its end
	Target string         `json:"target"`
	Good   int            `json:"good"`
	Errors map[string]int `json:"errors,omitempty"`
}

// port is what makes the error text of each connection another one.
var port = regexp.MustCompile(`[0-9.]+:[0-9]+->`)

// call calls all targets at a steady rate (an open loop: a slow answer delays no call) and writes an account of them,
// a line of JSON per target and second, until it is told to end or the time is up. Then it waits for the last answers.
//
//	call -rate 10 http://web/ grpc://greeter:9000 greeting://mail:2525
func call(stop context.Context, arguments []string) {
	flags := flag.NewFlagSet("call", flag.ExitOnError)
	rate := flags.Float64("rate", 10, "calls a second, of each target")
	length := flags.Duration("for", 0, "how long; until SIGTERM when 0")
	fresh := flags.Bool("fresh", false, "a new connection for each HTTP request")
	file := flags.String("file", "", "where the account is appended; standard output when empty")
	_ = flags.Parse(arguments)
	if *length > 0 {
		var cancel context.CancelFunc
		stop, cancel = context.WithTimeout(stop, *length)
		defer cancel()
	}
	out := json.NewEncoder(opened(*file))
	var lock sync.Mutex
	var all sync.WaitGroup
	for _, target := range flags.Args() {
		do, err := callerOf(target, *fresh)
		if err != nil {
			log.Fatal(err)
		}
		all.Go(func() {
			repeat(stop, target, do, time.Duration(float64(time.Second) / *rate), func(it account) {
				lock.Lock()
				defer lock.Unlock()
				_ = out.Encode(it)
			})
		})
	}
	all.Wait()
}

func opened(file string) io.Writer {
	if file == "" {
		return os.Stdout
	}
	out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	return out
}

func callerOf(target string, fresh bool) (caller, error) {
	where, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	switch where.Scheme {
	case "http":
		return httpCaller(target, fresh), nil
	case "grpc":
		return grpcCaller(where.Host)
	case "greeting":
		return greetingCaller(where.Host), nil
	}
	return nil, fmt.Errorf("%s: http, grpc or greeting", target)
}

func httpCaller(target string, fresh bool) caller {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: fresh, MaxIdleConnsPerHost: 4}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", answer.StatusCode)
		}
		return nil
	}
}

// repeat makes the calls, and tells of those that ended every second and in the end.
func repeat(stop context.Context, target string, do caller, pause time.Duration, tell func(account)) {
	ended := make(chan error, 1024)
	var under sync.WaitGroup
	calls, seconds := time.NewTicker(pause), time.NewTicker(time.Second)
	defer calls.Stop()
	defer seconds.Stop()
	sum := account{Target: target}
	flush := func() {
		sum.At = float64(time.Now().UnixMilli()) / 1000
		tell(sum)
		sum = account{Target: target}
	}
	for going := true; going; {
		select {
		case <-calls.C:
			under.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				ended <- do(ctx)
			})
		case err := <-ended:
			sum.add(err)
		case <-seconds.C:
			flush()
		case <-stop.Done():
			going = false
		}
	}
	go func() { under.Wait(); close(ended) }()
	for err := range ended {
		sum.add(err)
	}
	flush()
}

func (a *account) add(err error) {
	if err == nil {
		a.Good++
		return
	}
	if a.Errors == nil {
		a.Errors = map[string]int{}
	}
	a.Errors[port.ReplaceAllString(err.Error(), "")]++
}
