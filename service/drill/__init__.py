"""A drill: its hub is laid out from the real one's directory, a scenario is played, and what came of it is told."""
