"""Text from every kind of document, and clear reasons where there is none."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter
from pypdf.errors import DependencyError

from dramaturg.applications.documents import docx_text, extract, pdf_text
from dramaturg.applications.documents.errors import InvalidDocumentError
from dramaturg.applications.documents.extract import Extracted
from dramaturg.applications.documents.kinds import Kind

from .making import METADATA, pdf, word


def read(kind: Kind, data: bytes) -> Extracted:
    return extract.extract(kind, data, "the document")


def refused(kind: Kind, data: bytes) -> str:
    with pytest.raises(InvalidDocumentError) as caught:
        read(kind, data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["text", "markdown", "rst"])
def test_plain_text_is_taken_as_it_is(kind: Kind) -> None:
    found = read(kind, "Grüße\r\nan Käthe\rund Jürgen".encode())

    assert found == Extracted("Grüße\nan Käthe\nund Jürgen", "utf-8")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_names_the_encoding(encoding: str) -> None:
    assert read("text", "Grüße".encode(encoding)) == Extracted("Grüße", encoding)


def test_the_big_end_may_come_first() -> None:
    data = b"\xfe\xff" + "Grüße".encode("utf-16-be")

    assert read("text", data).text == "Grüße"


def test_an_encoding_without_a_mark_is_guessed() -> None:
    text = "Äpfel, Öl und Übermut: die Straße führt über größere Höhen. " * 8

    found = read("text", text.encode("cp1252"))

    assert found.text == text
    assert found.encoding != "utf-8"


def test_what_is_marked_and_damaged_is_refused() -> None:
    found = refused("text", "Grüße".encode("utf-16") + b"\x00")

    assert "begins with the mark of utf-16 but is damaged at byte 12" in found


def test_bytes_that_are_no_text_are_refused() -> None:
    assert "holds no text" in refused("text", bytes(range(128)) * 8)
    assert "holds no text" in refused("text", bytes(range(256)) * 64)


def test_a_stray_control_character_becomes_a_blank() -> None:
    assert read("text", b"page one\x1bpage two" + b"." * 99).text.startswith(
        "page one page two"
    )


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        found = read("text", data)
    except InvalidDocumentError as error:
        assert error.reason  # noqa: PT017 - either outcome is right
    else:
        assert "\r" not in found.text


def test_a_web_page_gives_what_its_reader_sees() -> None:
    page = (
        b"<html><head><title>Snails</title><style>p {}</style></head><body>"
        b"<script>var x = 1;</script><h1>Snails &amp; slugs</h1>"
        b"<p>slow <b>but</b>\n steady</p><!-- no --><ul><li>one<li>two</ul>"
        b"<pre>a\nb</pre></body>"
    )

    assert (
        read("html", page).text
        == "Snails\nSnails & slugs\nslow but steady\none\ntwo\na\nb"
    )


def test_a_web_page_may_declare_its_encoding() -> None:
    page = '<meta charset="iso-8859-5"><p>Привет</p>'.encode("iso-8859-5")

    assert read("html", page) == Extracted("Привет", "iso-8859-5")


def test_a_wrong_declaration_does_no_harm() -> None:
    assert read("html", b'<meta charset="nonsense"><p>Hi</p>').text == "Hi"


def test_a_page_with_an_xml_declaration_is_read() -> None:
    page = '<?xml version="1.0" encoding="utf-8"?><html><p>Grüße</p></html>'.encode()

    assert read("html", page).text == "Grüße"


def test_a_page_without_anything_is_refused() -> None:
    assert "is no HTML that can be read" in refused("html", b" <!-- nothing --> ")


def test_a_pdf_gives_the_text_of_its_pages() -> None:
    assert read("pdf", pdf("Hello from a PDF")).text == "Hello from a PDF"


def test_an_encrypted_pdf_is_refused() -> None:
    assert "is encrypted: remove its password" in refused("pdf", pdf(locked_by="snail"))


def test_a_pdf_whose_encryption_is_not_known_here_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise DependencyError("cryptography>=3.1 is required")

    monkeypatch.setattr(PdfReader, "decrypt", refuse)

    assert "is encrypted" in refused("pdf", pdf(locked_by="snail"))


def test_a_pdf_with_an_empty_password_is_read() -> None:
    buffer = io.BytesIO()
    writer = PdfWriter(clone_from=io.BytesIO(pdf("Open to all")))
    writer.encrypt("", "owner", algorithm="RC4-128")
    writer.write(buffer)

    assert read("pdf", buffer.getvalue()).text == "Open to all"


@pytest.mark.parametrize("keep", [9, 100, 400])
def test_a_pdf_that_was_cut_off_is_refused(keep: int) -> None:
    assert "is a damaged PDF (" in refused("pdf", pdf()[:keep])


@given(st.integers(0, 600), st.binary(min_size=1, max_size=40))
def test_a_pdf_with_holes_is_read_or_refused(at: int, hole: bytes) -> None:
    data = pdf()
    try:
        read("pdf", data[:at] + hole + data[at + len(hole) :])
    except InvalidDocumentError as error:
        assert error.reason  # noqa: PT017 - either outcome is right


def test_a_pdf_with_too_many_pages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_text, "PAGES_MAX", 0)

    assert "has 1 pages, over the limit of 0" in refused("pdf", pdf())


def test_a_docx_gives_its_paragraphs_and_tables() -> None:
    data = word("Dear reader,", "all is well.", cells=("left", "right"))

    assert read("docx", data).text == "Dear reader,\nall is well.\nleft\tright"


@pytest.mark.parametrize("keep", [4, 1000, 20_000])
def test_a_docx_that_was_cut_off_is_refused(keep: int) -> None:
    assert "is a damaged DOCX (" in refused("docx", word("Hello")[:keep])


def test_a_zip_archive_that_is_no_docx_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "x")

    assert "is a damaged DOCX (" in refused("docx", buffer.getvalue())


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=40))
def test_a_docx_with_holes_is_read_or_refused(at: int, hole: bytes) -> None:
    data = DOCX
    try:
        read("docx", data[:at] + hole + data[at + len(hole) :])
    except InvalidDocumentError as error:
        assert error.reason  # noqa: PT017 - either outcome is right


DOCX = word("Hello")


def test_a_docx_that_unpacks_too_far_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docx_text, "UNPACKED_BYTES_MAX", 100)

    assert "over the limit of 100: split it" in refused("docx", DOCX)


def test_metadata_gives_its_description() -> None:
    found = read("metadata", METADATA.encode()).text

    assert found.startswith("Snail_Mail 1.2.3\n\nLetters that arrive\n\nBuilt on")


def test_metadata_without_a_name_is_refused() -> None:
    assert "is no METADATA" in refused("metadata", b"Version: 1\n")
    assert "is no METADATA" in refused("metadata", b"Name: x\n")


def test_docstrings_stand_under_their_names() -> None:
    code = '''"""A module."""
class Snail:
    """A snail."""
    x = 1
    async def crawl(self):
        """Crawl.

              Slowly.
            It is a snail.
        """
        def inner(): "Inside."
def plain(): pass
'''

    assert read("docstrings", code.encode()).text == (
        "A module.\n\nSnail\nA snail.\n\nSnail.crawl\nCrawl.\n\n  Slowly.\n"
        "It is a snail.\n\n"
        "Snail.crawl.inner\nInside."
    )


def test_a_module_without_docstrings_has_no_text() -> None:
    assert read("docstrings", b"x = 1").text == ""


@pytest.mark.parametrize("code", [b"def (", b"x = '\x00'", b"# coding: nonsense\n"])
def test_what_is_no_python_is_refused(code: bytes) -> None:
    assert "is not Python that this interpreter can read" in refused("docstrings", code)


def test_half_a_character_in_a_docstring_does_no_harm() -> None:
    assert read("docstrings", rb'"""half \ud800 one"""').text == "half ? one"


def test_a_text_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "CHARACTERS_MAX", 3)

    assert "has 4 characters of text, over the limit of 3" in refused("text", b"four")
