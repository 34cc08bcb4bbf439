"""How ciphertext looks where the data of an event or a snapshot would stand.

    {"key":"aes-256-gcm:0f1e...","ct":"base64 of nonce, ciphertext and tag"}

It is JSON, so a document with it is one like any other.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error

import msgspec

from ..errors import LogDamagedError

PREFIX = "aes-256-gcm:"
"""What the names of keys begin with: how is said where it is used."""

OPENING = b'{"key":"' + PREFIX.encode()
"""What all ciphertext begins with."""

NONCE_BYTES = 12

_FORM = re.compile(rb'\{"key":"(aes-256-gcm:[0-9a-f]{32})","ct":"([A-Za-z0-9+/=]+)"\}')

_encode = msgspec.json.Encoder().encode


class Ciphertext(msgspec.Struct, frozen=True, gc=False):
    """What is stored in place of data."""

    key: str
    """The name of the key; the key itself is not in the log."""
    ct: bytes
    """Nonce, ciphertext and authentication tag."""

    def encoded(self) -> bytes:
        """Return it as it is stored."""
        return _encode(self)


def ciphertext(data: bytes) -> Ciphertext | None:
    """Return the ciphertext that stored data is; None if it is plain."""
    found = _FORM.fullmatch(data)
    if found is None:
        return None
    try:
        return Ciphertext(found[1].decode(), b64decode(found[2], validate=True))
    except Base64Error as error:
        raise LogDamagedError(f"this is no ciphertext: {error}") from error


def place_of_event(stream: str, version: int, tag: str) -> bytes:
    """Return what the ciphertext of an event is bound to: it fits nowhere else."""
    return _encode(["event", stream, version, tag])


def place_of_snapshot(stream: str, version: int, fold_version: int) -> bytes:
    """Return what the ciphertext of a snapshot is bound to."""
    return _encode(["snapshot", stream, version, fold_version])
