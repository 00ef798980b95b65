"""What N plans cost the cluster: requests, queries, CPU and memory, at rest, on the way, and when some turn bad.

A lab of its own (API server, etcd, fake nodes, Prometheus), `rollout controller run` as a process with the rights that
`rollout install` prints, N shops, and an exporter that plays their sidecars.  What is counted is counted at the
servers: requests from the API server's audit log, queries from Prometheus' query log, CPU and memory from the kernel.

    python -m bench.scale --plans 50              # 2 minutes at rest, 2 on the way, then 20 bad ones
    python -m bench.scale --plans 500 --namespaces 1 --idle 60 --active 180 --keep

The work is that of the peers' baseline: one replica each, a weight step of 1 % and looks at two gates every 10 s, a
second failed look ends the run, a new image on all N at the same moment.
"""
