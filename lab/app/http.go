package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"time"
)

type httpServer struct{ http.Server }

func newHTTP(address string) *httpServer {
	return &httpServer{http.Server{Addr: address, Handler: handler()}}
}

func (s *httpServer) Serve() error {
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *httpServer) Stop() {
	last, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	_ = s.Shutdown(last)
}

func handler() http.Handler {
	version, pod := os.Getenv("VERSION"), os.Getenv("HOSTNAME")
	slowRate, dependency := number("SLOW_RATE"), os.Getenv("DEPENDENCY")
	mishaps := &trouble{share: number("ERROR_RATE"), run: max(int(number("ERROR_RUN")), 1)}
	slowness := time.Duration(number("LATENCY_MS")) * time.Millisecond
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-version", version)
		if r.URL.Path == "/healthz" {
			fmt.Fprintln(w, "ok")
			return
		}
		if r.URL.Path == "/metrics" {
			fmt.Fprintln(w, "app_up 1")
			return
		}
		if r.URL.Path == "/trouble" {
			share, err := strconv.ParseFloat(r.FormValue("share"), 64)
			if err != nil {
				http.Error(w, "share is a number from 0 to 1", http.StatusBadRequest)
				return
			}
			mishaps.set(share)
			return
		}
		if rand.Float64() < slowRate {
			time.Sleep(slowness)
		}
		if mishaps.strikes() || (dependency != "" && !answers(dependency)) {
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
