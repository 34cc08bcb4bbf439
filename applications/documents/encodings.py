"""From bytes to text: byte order marks, UTF-8, and what has to be guessed."""

import codecs
import re

from charset_normalizer import from_bytes

from .errors import InvalidDocumentError

SAMPLE_BYTES = 256 * 1024
"""How much of a document is looked at to guess its encoding."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16, so it stands before it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_CONTROLS_SHARE_MAX = 0.02
"""Text has next to no control characters; bytes that are no text have one in eight."""


def decode(data: bytes, name: str, *, declared: str = "") -> tuple[str, str]:
    """Return the text of `data` and the encoding it was in.

    A byte order mark decides, then what the document itself declares, then UTF-8, and
    then a guess. Line ends become newlines.

    Raises `InvalidDocumentError` for what is no text in any encoding.
    """
    text, encoding = _decode(data, name, declared)
    controls = len(_CONTROLS.findall(text))
    if controls > len(text) * _CONTROLS_SHARE_MAX:
        raise InvalidDocumentError(
            name,
            f"holds no text: {controls:,} control characters when read as {encoding}",
        )
    text = _CONTROLS.sub(" ", text) if controls else text
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _decode(data: bytes, name: str, declared: str) -> tuple[str, str]:
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _decode_marked(data, name, encoding)
    for encoding in (declared, "utf-8"):
        if encoding:
            try:
                return data.decode(encoding), encoding
            except (UnicodeDecodeError, LookupError):
                continue
    best = from_bytes(data[:SAMPLE_BYTES]).best()
    if best is None:
        raise InvalidDocumentError(name, "holds no text in any encoding known here")
    return data.decode(best.encoding, errors="replace"), best.encoding


def _decode_marked(data: bytes, name: str, encoding: str) -> tuple[str, str]:
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        raise InvalidDocumentError(
            name,
            f"begins with the mark of {encoding} but is damaged at byte "
            f"{error.start:,}: save it again",
        ) from error
