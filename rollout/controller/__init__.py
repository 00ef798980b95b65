"""Again and again: observe, decide, act, report."""
