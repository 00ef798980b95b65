package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// greetingServer speaks first, as mail servers and some databases do: `hello`; then each line is answered with itself.
type greetingServer struct {
	address  string
	listener net.Listener
	lock     sync.Mutex
	open     sync.WaitGroup
}

func newGreeting(address string) *greetingServer { return &greetingServer{address: address} }

func (s *greetingServer) Serve() error {
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	s.lock.Lock()
	s.listener = listener
	s.lock.Unlock()
	for {
		link, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			s.open.Wait()
			return nil
		}
		if err != nil {
			return err
		}
		s.open.Add(1)
		go s.greet(link)
	}
}

func (s *greetingServer) greet(link net.Conn) {
	defer s.open.Done()
	defer link.Close()
	_ = link.SetDeadline(time.Now().Add(drain))
	fmt.Fprintln(link, "hello")
	lines := bufio.NewScanner(link)
	for lines.Scan() {
		fmt.Fprintln(link, lines.Text())
	}
}

func (s *greetingServer) Stop() {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.listener != nil {
		_ = s.listener.Close()
	}
}

// greetingCaller opens a connection for each call, waits to be greeted, and says one line.
func greetingCaller(address string) caller {
	return func(ctx context.Context) error {
		link, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		defer link.Close()
		if until, limited := ctx.Deadline(); limited {
			_ = link.SetDeadline(until)
		}
		lines := bufio.NewReader(link)
		if err := expect(lines, "hello\n"); err != nil {
			return fmt.Errorf("greeting: %w", err)
		}
		if _, err := fmt.Fprintln(link, "thanks"); err != nil {
			return err
		}
		return expect(lines, "thanks\n")
	}
}

func expect(lines *bufio.Reader, wanted string) error {
	said, err := lines.ReadString('\n')
	if err == nil && said != wanted {
		return fmt.Errorf("%q is not %q", said, wanted)
	}
	return err
}
