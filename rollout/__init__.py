"""Rollout: change what production runs one step at a time, watch, and undo it when the evidence turns bad."""

__version__ = "0.1.0"

__all__ = ["__version__"]
