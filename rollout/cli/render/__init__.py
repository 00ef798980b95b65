"""From views to text and to JSON: pure functions, the same facts in both."""
