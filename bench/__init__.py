"""Measurements: counts and ratios, never wall time as a verdict."""
