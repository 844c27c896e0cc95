"""ISO 20022 for banks: orders as business messages with a signed header, and the banks' signed answers."""
