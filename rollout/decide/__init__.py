"""What should happen: phases, events, verdicts and the one function `decide`. Pure."""
