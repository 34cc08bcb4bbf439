"""The first stage: bad documents are refused in one clear line, good ones are kept."""

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiofiles.os
import pytest
from anyio.to_thread import run_sync

from dramaturg.actors.retries import Classifier
from dramaturg.applications.documents import intake
from dramaturg.applications.documents.errors import InvalidDocumentError
from dramaturg.applications.documents.intake import take_in
from dramaturg.applications.documents.kinds import Kind
from dramaturg.events.log.artifacts import ArtifactStore, ArtifactStoreError

from .making import pdf, source, word

pytestmark = pytest.mark.asyncio


async def refused(path: Path, kind: Kind = "text", **limits: int) -> str:
    store = ArtifactStore(path.parent / "store")
    with pytest.raises(InvalidDocumentError) as caught:
        await take_in(source(path, kind), store, **limits)
    assert "\n" not in str(caught.value)
    assert not [p for p in store.root.rglob("*") if p.is_file()]
    return str(caught.value)


async def test_a_document_is_kept_under_the_digest_of_its_contents(
    tmp_path: Path,
) -> None:
    store = ArtifactStore(tmp_path / "store")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("the same")

    first = await take_in(source(tmp_path / "a.txt"), store)
    second = await take_in(source(tmp_path / "b.txt"), store)

    assert first == second
    assert await store.read(first) == b"the same"


async def test_every_kind_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    (tmp_path / "a.pdf").write_bytes(b"junk before it\n" + pdf())
    (tmp_path / "a.docx").write_bytes(word("Hello"))
    (tmp_path / "a.txt").write_bytes("sixteen".encode("utf-16"))

    for name, kind in (("a.pdf", "pdf"), ("a.docx", "docx"), ("a.txt", "text")):
        found = await take_in(source(tmp_path / name, kind), store)  # type: ignore[arg-type] # a table of kinds
        assert found.size_bytes > 0


async def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").touch()

    assert "is empty, 0 bytes" in await refused(tmp_path / "a.pdf", "pdf")


async def test_a_file_of_200_mb_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(200_000_000)

    found = await refused(tmp_path / "a.txt")

    assert "has 200,000,000 bytes, over the limit of 50,000,000" in found


async def test_a_file_that_vanished_is_refused(tmp_path: Path) -> None:
    assert "is no longer at" in await refused(tmp_path / "a.txt")


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()

    assert "is no plain file" in await refused(tmp_path / "a.txt")


async def test_an_unreadable_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(intake, "_head", refuse)

    assert "cannot be read" in await refused(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("kind", "contents", "reason"),
    [
        ("pdf", b"plain text", "is not a PDF: no %PDF- mark"),
        ("docx", b"plain text", "is not a DOCX: no ZIP mark"),
        ("docx", bytes.fromhex("d0cf11e0a1b11ae1") + b"x", "encrypted or old Office"),
        ("text", b"%PDF-1.7\n", "its content is a PDF: rename it"),
        ("markdown", b"PK\x03\x04rest", "its content is a ZIP archive"),
        ("html", b"\x7fELF\x00\x01", "its content is a program"),
        ("rst", b"abc\x00\x01\x02", "its content is binary data"),
    ],
)
async def test_a_document_that_is_not_what_its_name_says_is_refused(
    tmp_path: Path, kind: Kind, contents: bytes, reason: str
) -> None:
    (tmp_path / "a").write_bytes(contents)

    assert reason in await refused(tmp_path / "a", kind)


def changing(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Let a file change between the look at its beginning and the copy."""
    look: Callable[[Path], Awaitable[bytes]] = intake._head  # pyright: ignore[reportPrivateUsage]

    async def head(path: Path) -> bytes:
        found = await look(path)
        await run_sync(change)
        return found

    monkeypatch.setattr(intake, "_head", head)


async def test_a_file_that_goes_while_it_is_taken_in_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    changing(monkeypatch, path.unlink)

    assert "went away" in await refused(path)


async def test_a_file_that_outgrows_the_store_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    changing(monkeypatch, lambda: os.truncate(path, 200_000_000))

    assert "is over the limit of 100,000,000 bytes" in await refused(path)


async def test_a_failing_store_is_not_the_documents_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(aiofiles.os, "replace", full)

    with pytest.raises(ArtifactStoreError, match="No space left"):
        await take_in(source(tmp_path / "a.txt"), ArtifactStore(tmp_path / "store"))


async def test_an_invalid_document_is_not_tried_again() -> None:
    error = InvalidDocumentError("a.txt", "is empty")

    assert Classifier().classify(error).error_class == "validation"
