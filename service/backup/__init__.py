"""Backups of the database and of the keys, and the way back: verified, in quarantine, with erasures done again."""
