// The lab's load generator: vegeta's open-loop attack behind a local socket, every answer kept in memory and counted exactly.
//
//	load serve                     the pod's process
//	load start|stop|report KEY=VALUE...   talks to it, prints its answer (used through `kubectl exec`)
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

const socket = "/tmp/load.sock"

func main() {
	if len(os.Args) < 2 {
		fail("usage: load serve|start|stop|report [KEY=VALUE...]")
	}
	if os.Args[1] == "serve" {
		serve()
		return
	}
	if err := ask(os.Args[1], os.Args[2:]); err != nil {
		fail(err.Error())
	}
}

func serve() {
	_ = os.Remove(socket)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		fail(err.Error())
	}
	fail(http.Serve(listener, newRecorder()).Error())
}

func ask(verb string, pairs []string) error {
	query := url.Values{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		query.Set(key, value)
	}
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	answer, err := client.Get("http://load/" + verb + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", text)
	}
	_, err = os.Stdout.Write(text)
	return err
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, strings.TrimSpace(text))
	os.Exit(1)
}
