"""The text of a PDF."""

import io
import zlib

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from .errors import InvalidDocumentError

PAGES_MAX = 20_000
"""More pages than in any book; a damaged page tree can claim millions."""

_DAMAGE = (
    PyPdfError,
    ValueError,  # numbers and names that are none, bad Unicode
    TypeError,  # an object of one type where another belongs
    LookupError,  # entries that must be there and are not
    AttributeError,  # the like, met as an attribute
    ArithmeticError,  # fonts with a width or matrix of nothing
    AssertionError,
    RecursionError,  # objects that hold themselves
    NotImplementedError,  # filters and encryptions that pypdf does not know
    EOFError,
    OSError,
    MemoryError,
    zlib.error,
)
"""What pypdf 7 raises for damaged files, besides its own errors."""


def read_pdf(data: bytes, name: str) -> str:
    """Return the text of all pages, a blank line between them.

    Raises `InvalidDocumentError` for an encrypted or damaged file.
    """
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise InvalidDocumentError(
                name, "is encrypted: remove its password and ingest it again"
            )
        pages = len(reader.pages)
        if pages > PAGES_MAX:
            raise InvalidDocumentError(
                name, f"has {pages:,} pages, over the limit of {PAGES_MAX:,}: split it"
            )
        texts = [page.extract_text() for page in reader.pages]
    except DependencyError as error:
        raise InvalidDocumentError(
            name, "is encrypted: remove its password and ingest it again"
        ) from error
    except _DAMAGE as error:
        raise InvalidDocumentError(
            name, f"is a damaged PDF ({_first_line(error)}): restore or repair it"
        ) from error
    return "\n\n".join(texts).encode("utf-8", "replace").decode("utf-8")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
