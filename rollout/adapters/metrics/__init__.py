"""The metrics port on Prometheus, and on whatever speaks its query API: `prometheus.Prometheus`."""
