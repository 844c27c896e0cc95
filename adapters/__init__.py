"""The translators: each knows one wire format and nothing of the hub's database."""
