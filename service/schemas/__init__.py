"""The shapes on the wire: plain Pydantic, unknown fields refused."""
