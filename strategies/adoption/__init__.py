"""The parts of the strategy `mesh-adoption`: who is concerned, in which order, and what each stage compiles into."""
