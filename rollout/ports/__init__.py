"""The holes in the wall between us and the world: protocols only."""
