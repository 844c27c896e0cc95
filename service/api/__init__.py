"""The door for machines: one router a resource, nothing decided here."""
