"""The durable machine: what must be sent is sent, and what falls due fires, whatever dies in between."""
