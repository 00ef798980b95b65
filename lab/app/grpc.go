package main

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// grpcServer speaks the standard health service, which needs no code of its own.
type grpcServer struct {
	*grpc.Server
	address string
}

func newGRPC(address string) *grpcServer {
	s := &grpcServer{grpc.NewServer(), address}
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	return s
}

func (s *grpcServer) Serve() error {
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	return s.Server.Serve(listener)
}

func (s *grpcServer) Stop() { s.GracefulStop() }

// grpcCaller uses one connection for all calls, as gRPC clients do.
func grpcCaller(address string) (caller, error) {
	link, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	client := grpc_health_v1.NewHealthClient(link)
	return func(ctx context.Context) error {
		_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}, nil
}
