"""The text of a DOCX."""

import io
import zipfile
import zlib
from collections.abc import Iterator

import docx
from docx.document import Document
from docx.opc.exceptions import OpcError
from docx.table import Table
from docx.text.paragraph import Paragraph
from lxml import etree

from .errors import InvalidDocumentError

UNPACKED_BYTES_MAX = 500_000_000
"""A DOCX is a ZIP archive; one that unpacks into more is refused unread."""

_DAMAGE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    etree.LxmlError,
    OpcError,
    KeyError,  # a part that must be there and is not
    ValueError,
    AttributeError,  # a part of another type than it must have
    NotImplementedError,  # an unknown compression
    RuntimeError,  # an encrypted member
    EOFError,
    OSError,
)
"""What python-docx and the libraries under it raise for damaged files."""


def read_docx(data: bytes, name: str) -> str:
    """Return the text of a document's paragraphs and tables in their order.

    Raises `InvalidDocumentError` for a damaged file or one that unpacks too far.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > UNPACKED_BYTES_MAX:
            raise InvalidDocumentError(
                name,
                f"unpacks into {size:,} bytes, over the limit of "
                f"{UNPACKED_BYTES_MAX:,}: split it",
            )
        document = docx.Document(io.BytesIO(data))
        text = "\n".join(_lines(document))
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InvalidDocumentError(
            name, f"is a damaged DOCX ({reason}): restore or repair it"
        ) from error
    return text


def _lines(document: Document) -> Iterator[str]:
    for block in document.iter_inner_content():
        match block:
            case Paragraph():
                yield block.text
            case Table():
                for row in block.rows:
                    yield "\t".join(cell.text for cell in row.cells)
