"""By whom people are told: one module for each vendor, sans-I/O, and the one that sends."""
