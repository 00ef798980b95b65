// The shop's web server: answers every path with its version, and misbehaves as its environment says.
//
//	VERSION      what it calls itself, in the body and in the header x-version
//	ERROR_RATE   share of requests answered 500 (0.05)
//	SLOW_RATE    share of requests that take LATENCY_MS longer
//	START_FAIL   exit with 1 at the start
//
// The lab's images hold this one program and differ in these variables only; a pod's own variables win over its image's.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// drain is how long the server still answers after SIGTERM: callers need that long to learn that this pod is leaving.
const drain = 3 * time.Second

func main() {
	if os.Getenv("START_FAIL") != "" {
		log.Fatal("START_FAIL is set: not starting")
	}
	server := &http.Server{Addr: ":8080", Handler: handler()}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go func() {
		<-stop.Done()
		time.Sleep(drain)
		last, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		_ = server.Shutdown(last)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

func handler() http.Handler {
	version, pod := os.Getenv("VERSION"), os.Getenv("HOSTNAME")
	errorRate, slowRate := number("ERROR_RATE"), number("SLOW_RATE")
	slowness := time.Duration(number("LATENCY_MS")) * time.Millisecond
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-version", version)
		if r.URL.Path == "/healthz" {
			fmt.Fprintln(w, "ok")
			return
		}
		if rand.Float64() < slowRate {
			time.Sleep(slowness)
		}
		if rand.Float64() < errorRate {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprintf(w, "version=%s pod=%s\n", version, pod)
	})
}

func number(name string) float64 {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		log.Fatalf("%s=%q is not a number", name, text)
	}
	return value
}
