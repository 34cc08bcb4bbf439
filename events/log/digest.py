r"""The digest that chains each event to the one before it in its stream.

The bytes, with || for "followed by"::

    digest = SHA-256( previous || SHA-256(data) || place || header )

    previous   the digest of the stream's previous event; 32 zero bytes for the first
    data       the data's JSON, exactly as it stands in the event's document
    place      the JSON array [position,"stream",version,"tag"], UTF-8, no white space,
               its texts with JSON's shortest escapes: \" \\ \b \f \n \r \t, \u00xx
               in lower case for the other control characters, all else as it is
    header     the header's JSON object, as `document.split` gives it

Data goes in by its own digest, so that it can be erased and the chain still verifies
if that digest is kept. The place binds the columns beside the document: an event that
was moved, renumbered or given another tag no longer fits. SHA-256, because it is in
every language's library and auditors know it; together 2 us an event.
"""

from hashlib import sha256

import msgspec

FIRST = bytes(32)
"""Stands for the digest before a stream's first event."""

_encode = msgspec.json.Encoder().encode


def chained(  # noqa: PLR0913, PLR0917 - all that an event's digest depends on
    previous: bytes | bytearray,
    position: int,
    stream: str,
    version: int,
    tag: str,
    header: bytes,
    data: bytes,
) -> bytes:
    """Return the digest of an event, 32 bytes."""
    place = _encode((position, stream, version, tag))
    data_digest = sha256(data).digest()
    return sha256(b"".join((previous, data_digest, place, header))).digest()


def snapshot_digest(
    stream: str,
    version: int,
    position: int,
    fold_version: int,
    state: bytes,
) -> bytes:
    """Return the digest of a snapshot, SHA-256 of its place and its state."""
    return sha256(_encode((stream, version, position, fold_version)) + state).digest()


def key_digest(scope: str, key: str, stream: str, expires_us: int | None) -> bytes:
    """Return the digest of an idempotency key, the first 8 bytes of its SHA-256.

    It is there to show damage; who could forge a row could forge any digest of it.
    """
    return sha256(_encode((scope, key, stream, expires_us))).digest()[:8]


def meta_digest(
    format_: int, next_position: int, committed_us: int, epoch: int, keys: bytes
) -> bytes:
    """Return the digest of the row of `meta`, the first 8 bytes of its SHA-256.

    `keys` are the digests of all idempotency keys, folded.
    """
    row = format_, next_position, committed_us, epoch, keys.hex()
    return sha256(_encode(row)).digest()[:8]
