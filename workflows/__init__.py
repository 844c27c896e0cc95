"""The rules of the hub: pure functions over frozen values, without I/O, clock or database."""
