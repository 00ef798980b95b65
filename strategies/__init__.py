"""The strategies that come with rollout: pure compilers from a plan to a program, found by entry point."""
