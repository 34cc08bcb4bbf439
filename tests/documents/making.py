"""Real documents, and broken ones, made for the tests."""

import io
from pathlib import Path

import docx
from pypdf import PdfWriter
from pypdf.generic import (
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
)

from dramaturg.applications.documents.corpus import Source
from dramaturg.applications.documents.kinds import Kind

METADATA = """Metadata-Version: 2.4
Name: Snail_Mail
Version: 1.2.3
Summary: Letters that arrive
License-Expression: MIT OR Apache-2.0
Author: Ada Lovelace
Author-email: ada@example.org
Maintainer-email: Grace Hopper <Grace@Example.org>, Alan Turing <alan@example.org>
Project-URL: Homepage, https://Example.org/snail/
Requires-Dist: msgspec>=0.18
Requires-Dist: rich ; extra == "pretty"
Requires-Dist: anyio<5,>=4; python_version < "3.13"

Built on msgspec 0.22.0 and `rich`; see https://pypi.org/project/anyio/ for more.
"""


def pdf(text: str = "Hello from a PDF", *, locked_by: str = "") -> bytes:
    writer = PdfWriter()
    page = writer.add_blank_page(300, 300)
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): font})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    stream = DecodedStreamObject()
    stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
    page[NameObject("/Contents")] = stream
    if locked_by:
        writer.encrypt(locked_by, algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def word(*paragraphs: str, cells: tuple[str, ...] = ()) -> bytes:
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if cells:
        table = document.add_table(rows=1, cols=len(cells))
        for cell, text in zip(table.rows[0].cells, cells, strict=True):
            cell.text = text
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def source(path: Path, kind: Kind = "text", *, key: str = "") -> Source:
    return Source(
        key=key or f"file:{path}",
        kind=kind,
        path=str(path),
        title=path.name,
        fingerprint="1",
    )
