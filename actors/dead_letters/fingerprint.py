"""Which failures have one cause: error class, stage and the message's shape."""

import re
from hashlib import blake2b

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+|\S+@\S+\.\S+", re.IGNORECASE)
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.@+-]+)+")
_NUMBER = re.compile(
    r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*(?:[-.:][0-9a-f]+)*\b", re.IGNORECASE
)
_SPACE = re.compile(r"\s+")


def shape(message: str) -> str:
    """Return what is left of a message without what differs from case to case.

    >>> shape("row 17 of '/tmp/a.pdf' not found")
    'row # of * not found'
    """
    for pattern, stand_in in (
        (_QUOTED, "*"),
        (_ADDRESS, "*"),
        (_PATH, "*"),
        (_NUMBER, "#"),
        (_SPACE, " "),
    ):
        message = pattern.sub(stand_in, message)
    return message.strip()[:200]


def fingerprint(error: str, stage: str, message: str) -> str:
    """Return twelve hexadecimal digits that failures of one cause share."""
    text = "\0".join((error, stage, shape(message)))
    return blake2b(text.encode(), digest_size=6).hexdigest()
