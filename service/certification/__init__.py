"""Certification: a hub of its own drives a participant's test system through what it must be seen to do."""
