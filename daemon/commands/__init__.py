"""The commands of `dramaturg`, one module each."""
