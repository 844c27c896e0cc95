"""The pages on which an officer files a request: one question a page, kept on the hub, checked, signed, a receipt."""
