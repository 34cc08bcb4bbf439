"""The root of every error that dramaturg raises on purpose."""


class DramaturgError(Exception):
    """Something the caller can act on; the message says what is wrong and what to do."""
