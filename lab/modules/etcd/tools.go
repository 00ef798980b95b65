//go:build tools

// Package lab pins the etcd of the lab: `go mod tidy` keeps what it needs in go.mod and go.sum.
// Distributions ship etcd 3.4, with which the API server turns its list cache off.
package lab

import _ "go.etcd.io/etcd/server/v3"
