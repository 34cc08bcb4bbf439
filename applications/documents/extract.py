"""From the bytes of a document to its text, whatever kind it is."""

from collections.abc import Callable

import msgspec

from .docstrings import read_docstrings
from .docx_text import read_docx
from .encodings import decode
from .errors import InvalidDocumentError
from .html_text import read_html
from .kinds import Kind
from .metadata import read_description
from .pdf_text import read_pdf

CHARACTERS_MAX = 20_000_000
"""Longer texts are refused: a small file can be made to unpack into a huge one."""


class Extracted(msgspec.Struct, frozen=True, gc=False):
    """The text of a document."""

    text: str
    encoding: str = "utf-8"
    """The encoding of the source; formats that fix their own say `utf-8`."""


def _read_plain(data: bytes, name: str) -> Extracted:
    return Extracted(*decode(data, name))


def _reader(read: Callable[[bytes, str], str]) -> Callable[[bytes, str], Extracted]:
    return lambda data, name: Extracted(read(data, name))


def _read_web_page(data: bytes, name: str) -> Extracted:
    return Extracted(*read_html(data, name))


_READERS: dict[Kind, Callable[[bytes, str], Extracted]] = {
    "text": _read_plain,
    "markdown": _read_plain,
    "rst": _read_plain,
    "html": _read_web_page,
    "pdf": _reader(read_pdf),
    "docx": _reader(read_docx),
    "metadata": _reader(read_description),
    "docstrings": _reader(read_docstrings),
}


def extract(kind: Kind, data: bytes, name: str) -> Extracted:
    """Return the text in `data`. It takes a while: call it in a thread.

    Raises `InvalidDocumentError` for an encrypted or damaged document, or one whose
    text is over `CHARACTERS_MAX`.
    """
    extracted = _READERS[kind](data, name)
    if len(extracted.text) > CHARACTERS_MAX:
        raise InvalidDocumentError(
            name,
            f"has {len(extracted.text):,} characters of text, over the limit of "
            f"{CHARACTERS_MAX:,}: split it",
        )
    return extracted
