"""What is wanted: the kinds that people write, the program they compile into, parsing, lint and schema. Pure."""
