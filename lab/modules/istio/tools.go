//go:build tools

// Package lab pins the Istio of the lab: `go mod tidy` keeps what it needs in go.mod and go.sum.
// istioctl is not built for the lab; it is listed because manifests/istiod.yaml is rendered with it.
package lab

import (
	_ "istio.io/istio/istioctl/cmd/istioctl"
	_ "istio.io/istio/pilot/cmd/pilot-agent"
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
)
