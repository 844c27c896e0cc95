"""OpenID Connect, spoken with the one identity provider that the operator names: people sign in there."""
