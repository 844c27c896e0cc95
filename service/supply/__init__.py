"""What the hub is made of: the locked packages, the bill of materials, known advisories, and what is installed."""
