"""Manifests: whole or not at all, and as they were when an item is taken back."""

import errno
import os
from pathlib import Path

import msgspec
import pytest

from dramaturg.actors.retries import Classifier
from dramaturg.applications.documents.manifest import (
    Manifest,
    ManifestError,
    Manifests,
)

pytestmark = pytest.mark.asyncio

FIRST = Manifest(
    key="snail",
    submission="snail@1",
    title="About snails",
    kind="text",
    source="s",
    source_bytes=1,
    text="t",
    text_bytes=1,
    text_characters=1,
    entities="e",
    graph="e",
    mentions=0,
)
SECOND = msgspec.structs.replace(FIRST, submission="snail@2", text="u")


def files(root: Path) -> int:
    return sum(path.is_file() for path in root.rglob("*"))


async def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifests = Manifests(tmp_path / "manifests")

    first = await manifests.write(FIRST)
    again = await manifests.write(FIRST)

    assert await manifests.read("snail") == FIRST
    assert await manifests.read("ant") is None
    assert first == again
    assert files(tmp_path) == 1
    assert b'"key": "snail"' in manifests.path("snail").read_bytes()


async def test_withdrawing_brings_the_earlier_manifest_back(tmp_path: Path) -> None:
    manifests = Manifests(tmp_path)
    await manifests.write(FIRST)
    await manifests.write(SECOND)
    await manifests.write(SECOND)

    for _ in range(2):
        await manifests.withdraw("snail", "snail@2")
        assert await manifests.read("snail") == FIRST
    await manifests.withdraw("snail", "snail@1")

    assert await manifests.read("snail") is None
    await manifests.withdraw("snail", "snail@1")
    assert files(tmp_path) == 0


async def test_a_temporary_file_of_a_killed_process_is_gone_after_the_next_write(
    tmp_path: Path,
) -> None:
    manifests = Manifests(tmp_path)
    left = manifests.path("snail").with_suffix(".temporary")
    left.parent.mkdir()
    left.write_bytes(b"half")

    await manifests.write(FIRST)

    assert not left.exists()


async def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    manifests = Manifests(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ManifestError, match="No space left") as caught:
            await manifests.write(FIRST)

    assert files(tmp_path) == 0
    assert Classifier().classify(caught.value).error_class == "transient"


async def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    manifests = Manifests(tmp_path)
    await manifests.write(FIRST)
    manifests.path("snail").write_bytes(b"{}")

    with pytest.raises(ManifestError, match="is no manifest"):
        await manifests.read("snail")
