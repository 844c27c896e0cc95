"""A pretend bank, wallet, telecom, ISP or platform: a real participant over real HTTPS on loopback."""
