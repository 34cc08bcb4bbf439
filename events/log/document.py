"""The JSON document that an event is in the file: its header with `data` at the end.

The text of a document is the header's JSON object, opened at its end to take one more
member, the data exactly as it was encoded::

    {"v":1,"at":1763791000000000,"committed":1763791000000900,"epoch":3,"data":{"by":2}}

The header's bytes, which the digest covers, are what stands before the first
`,"data":` and a closing brace. No header can hold these eight characters earlier: in
JSON a quotation mark inside of a text is escaped, and no member of a header is an
object of its own.
"""

import msgspec

from .api import Header
from .encoding import INT_LIMIT
from .errors import EncodingError, LogDamagedError

_encode = msgspec.json.Encoder().encode
_AT_MIN = 1 - INT_LIMIT
SEAM = b',"data":'
"""Stands between a header, its closing brace taken off, and the data."""
CLOSING = b"}"
"""Ends a document."""


def encode_header(header: Header) -> bytes:
    """Return a header as a JSON object, its empty members left out.

    Raises `EncodingError` when the context it came from cannot be kept as JSON.
    """
    try:
        encoded = _encode(header)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise EncodingError(f"the context cannot be kept as JSON: {error}") from error
    if not _AT_MIN <= header.at < INT_LIMIT:
        raise EncodingError(
            f"the context's at_us is {header.at}, its size must be below 2**53",
        )
    return encoded


def join(header: bytes, data: bytes) -> bytes:
    """Return the document of an encoded header and encoded data."""
    return header[:-1] + SEAM + data + CLOSING


def split(document: bytes) -> tuple[bytes, bytes]:
    """Return the header's bytes and the data's: the inverse of `join`.

    Raises `LogDamagedError` when this is no document of an event.
    """
    header, seam, data = document.partition(SEAM)
    if not seam or not data.endswith(b"}"):
        raise LogDamagedError(
            f"an event's document is not one: {document[:80]!r}; "
            "restore the log from a backup",
        )
    return header + b"}", data[:-1]
