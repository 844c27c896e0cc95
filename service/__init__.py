"""The hub: it remembers, and it opens the doors for machines and for people."""

__version__ = "0.1.0"
