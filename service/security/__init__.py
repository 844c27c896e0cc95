"""Who is calling and what they may do: strict tokens, keys, scopes, principals and the console's sign-in."""
