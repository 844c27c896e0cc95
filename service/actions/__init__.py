"""The verbs: one a file, one transaction each; no action calls another."""
