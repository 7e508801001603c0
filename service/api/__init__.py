"""One module per endpoint, and the form of replies."""
