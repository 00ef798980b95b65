"""Do what was decided: journal, write, guard. The only writers of the world."""
