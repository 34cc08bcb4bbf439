"""An event as one line of JSON, in which nothing of it is lost.

    {"position":3,"stream":"a/1","version":2,"tag":"test.counted","prev":1,
     "digest":"9f86...","state":{"v":1,...,"data":{"by":2}}}

`prev` is left out at a stream's first event. The state is the document byte for byte.
Where it cannot stand in a line so, it is a string, and `form` says of what: `text`,
the document, or `blob`, any bytes in base64. Export and segments are made of such lines.
"""

from base64 import b64decode
from typing import Literal

import msgspec

from .errors import LogDamagedError
from .rows import Row


class EventLine(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True
):
    """What stands in a line."""

    position: int
    stream: str
    version: int
    tag: str
    prev: int | None = None
    digest: str
    open: bool = True
    """False after the event with which its stream ends; only an export says it."""
    form: Literal["", "text", "blob"] = ""
    state: msgspec.Raw


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EventLine).decode
_decode_text = msgspec.json.Decoder(str).decode


def encode_line(row: Row, *, is_open: bool = True) -> bytes:
    """Return an event's line, with its line break."""
    document = row.document
    form: Literal["", "text", "blob"] = ""
    if row.opaque:
        form, document = "blob", _encode(document)
    elif b"\n" in document or b"\r" in document:
        form, document = "text", _encode(document.decode())
    line = EventLine(
        position=row.position,
        stream=row.stream,
        version=row.version,
        tag=row.tag,
        prev=row.prev,
        digest=row.digest.hex(),
        open=is_open,
        form=form,
        state=msgspec.Raw(document),
    )
    return _encode(line) + b"\n"


def decode_line(line: bytes) -> tuple[Row, bool]:
    """Return an event, and whether its stream is open after it.

    Raises `LogDamagedError` for a line that is none.
    """
    try:
        event = _decode(line)
        document = bytes(event.state)
        if event.form == "text":
            document = _decode_text(document).encode()
        elif event.form == "blob":
            document = b64decode(_decode_text(document))
        digest = bytes.fromhex(event.digest)
    except (msgspec.MsgspecError, ValueError) as error:
        raise LogDamagedError(f"this is no event ({error}): {line[:80]!r}") from error
    row = Row(
        event.position,
        event.stream,
        event.version,
        event.tag,
        document,
        event.prev,
        digest,
        event.form == "blob",
    )
    return row, event.open
