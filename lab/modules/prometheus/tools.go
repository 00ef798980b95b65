//go:build tools

// Package lab pins the Prometheus of the lab: `go mod tidy` keeps what it needs in go.mod and go.sum.
package lab

import _ "github.com/prometheus/prometheus/cmd/prometheus"
