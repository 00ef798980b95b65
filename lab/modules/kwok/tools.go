//go:build tools

// Package lab pins kwok, which plays the kubelet of nodes that are not there: `go mod tidy` keeps what it needs in go.mod
// and go.sum.
package lab

import _ "sigs.k8s.io/kwok/cmd/kwok"
