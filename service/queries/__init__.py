"""The reads: what a door shows, and what a rule needs to know, always through ``visibility``."""
