"""What a node looks at in itself before it may be trusted: settings, secrets, keys, the build, the database."""
