"""Large payloads are deflated before they are kept, and inflated when shown."""

import base64
import zlib

import msgspec

PACKED_FROM_BYTES = 4096


def pack(payload: msgspec.Raw) -> tuple[msgspec.Raw, bool]:
    """Return the payload as it is to be kept, and whether it was packed."""
    data = bytes(payload)
    if len(data) < PACKED_FROM_BYTES:
        return payload, False
    text = base64.b85encode(zlib.compress(data)).decode()
    packed = msgspec.json.encode(text)
    return (msgspec.Raw(packed), True) if len(packed) < len(data) else (payload, False)


def unpack(payload: msgspec.Raw, *, packed: bool) -> msgspec.Raw:
    """Return the payload as it was."""
    if not packed:
        return payload
    text = msgspec.json.decode(payload, type=str)
    return msgspec.Raw(zlib.decompress(base64.b85decode(text)))
