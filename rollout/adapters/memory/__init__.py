"""A Kubernetes with a mesh, traffic and metrics in memory: deterministic, on virtual time.

It is shipped: `rollout demo` and `rollout simulate` run on it, and so do most tests.  It passes the same conformance
suites as the real adapters.  `world.World` wires all of it; `store.MemoryCluster` alone is the API server.
"""
