"""The kinds of documents: known by their names, checked against their first bytes."""

import re
from pathlib import PurePath
from typing import Literal

from .errors import InvalidDocumentError

Kind = Literal[
    "metadata", "docstrings", "text", "markdown", "rst", "html", "pdf", "docx"
]
"""What a document is, and so how its text is found."""

_BY_SUFFIX: dict[str, Kind] = {
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".rst": "rst",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".docx": "docx",
}
_PROSE = re.compile(
    r"(licen[cs]e|copying|notice|authors|contributors|readme|change(s|log)|history)"
    r"([-._].*)?",
    re.IGNORECASE,
)
_CODE_SUFFIXES = frozenset({".py", ".pyc", ".pyi", ".pyd", ".so", ".json", ".js"})

HEAD_BYTES = 1024
"""How much of a file's beginning tells what it is; PDF allows junk before its mark."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an encrypted or old Office document (remove the password, save as .docx)",
    ),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b\x08", "a gzip file"),
    (b"SQLite format 3\x00", "a database"),
)
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def kind_of(path: PurePath) -> Kind | None:
    """Return the kind that a file's suffix stands for, None if no reader knows it."""
    return _BY_SUFFIX.get(path.suffix.lower())


def kind_in_distribution(path: PurePath) -> Kind | None:
    """Return the kind of a file of an installed distribution.

    There licences, readmes and the like often have no suffix, or one of their own
    (`COPYING.mit`).
    """
    if path.name in {"METADATA", "PKG-INFO"} and path.parent.suffix == ".dist-info":
        return "metadata"
    if path.suffix == ".py":
        return "docstrings"
    kind = kind_of(path)
    if kind is None and _PROSE.fullmatch(path.name):
        return None if path.suffix.lower() in _CODE_SUFFIXES else "text"
    return kind


def check_magic(kind: Kind, head: bytes, name: str) -> None:
    """Refuse a document whose first bytes contradict its kind.

    Raises `InvalidDocumentError`.
    """
    found = _content_of(head)
    if kind == "pdf":
        reason = "" if b"%PDF-" in head else "no %PDF- mark at its beginning"
    elif kind == "docx":
        reason = (
            "" if head.startswith(b"PK\x03\x04") else "no ZIP mark at its beginning"
        )
    else:
        if found:
            raise InvalidDocumentError(
                name, f"is named as text, but its content is {found}: rename it"
            )
        return
    if reason:
        but = f" but {found}" if found else ""
        raise InvalidDocumentError(name, f"is not a {kind.upper()}{but}: {reason}")


def _content_of(head: bytes) -> str:
    """Say what the first bytes are; nothing for what may be text."""
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    binary = b"\x00" in head and not head.startswith(_BOMS)
    return "binary data" if binary else ""
