// The shop's programs: servers that misbehave as their environment says, and callers that keep an account.
//
//	app                        serves until it is told to end
//	app call [FLAGS] URL...    calls (call.go)
//
//	PROTOCOL     http (8080, the default), grpc (9000), or greeting (2525), where the server speaks first
//	VERSION      what the HTTP server calls itself, in the body and in the header x-version
//	ERROR_RATE   share of its requests answered 500 (0.05); /trouble?share=0.3 changes it while it runs
//	ERROR_RUN    so many of them one right after the other (1)
//	DEPENDENCY   URL that it asks for each request; it answers 500 where that fails
//	SLOW_RATE    share of its requests that take LATENCY_MS longer
//	START_FAIL   exit with 1 at the start
//
// The lab's images hold this one program and differ in these variables only; a pod's own variables win over its image's.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// drain is how long a server still answers after SIGTERM: callers need that long to learn that this pod is leaving.
const drain = 3 * time.Second

// server is something that serves until it is stopped, which lets it answer what is under way.
type server interface {
	Serve() error
	Stop()
}

func main() {
	if os.Getenv("START_FAIL") != "" {
		log.Fatal("START_FAIL is set: not starting")
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if len(os.Args) > 1 && os.Args[1] == "call" {
		call(stop, os.Args[2:])
		return
	}
	wanted := chosen(os.Getenv("PROTOCOL"))
	go func() {
		<-stop.Done()
		time.Sleep(drain)
		wanted.Stop()
	}()
	if err := wanted.Serve(); err != nil {
		log.Fatal(err)
	}
}

func chosen(protocol string) server {
	switch protocol {
	case "", "http":
		return newHTTP(":8080")
	case "grpc":
		return newGRPC(":9000")
	case "greeting":
		return newGreeting(":2525")
	}
	log.Fatalf("PROTOCOL is http, grpc or greeting, not %q", protocol)
	return nil
}
