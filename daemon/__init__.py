"""How it is run: configuration and the command line."""
