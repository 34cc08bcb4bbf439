"""What is ingested: the texts of installed distributions, or files and folders."""

import importlib.metadata
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from .errors import CorpusError
from .kinds import Kind, kind_in_distribution, kind_of

SOURCES_MAX = 1_000_000
"""More documents than this in one corpus are refused."""


class Source(msgspec.Struct, frozen=True, gc=False):
    """One document to ingest, known before a byte of it has been read."""

    key: str
    """Names the document for ever: a later version of it replaces this one."""
    kind: Kind
    path: str
    """Where it is; a `file:` URI where the name is not UTF-8."""
    title: str
    fingerprint: str
    """Changes when the document does: of a file its size and time, of a
    distribution's file the distribution's version."""
    distribution: str = ""
    """The normalised name of the distribution that it belongs to."""

    @property
    def file(self) -> Path:
        """Where it is."""
        uri = self.path.removeprefix("file://")
        if uri == self.path:
            return Path(self.path)
        return Path(os.fsdecode(unquote_to_bytes(uri)))

    @property
    def submission(self) -> str:
        """The idempotency key: this document as it is now is ingested once."""
        return f"{self.key}@{self.fingerprint}"


class Corpus(msgspec.Struct, frozen=True, gc=False):
    """The documents to ingest, and the names by which distributions are mentioned."""

    sources: tuple[Source, ...]
    names: tuple[str, ...]
    """Normalised names of the distributions that are looked for in texts."""
    skipped: int = 0
    """Files of a kind that no reader knows."""


def normalise(name: str) -> str:
    """Return the one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required_name(requirement: str) -> str:
    """Return the normalised name that a `Requires-Dist` begins with, or nothing."""
    found = re.match(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)", requirement)
    return normalise(found[1]) if found else ""


def installed(paths: Iterable[str] | None = None) -> Corpus:
    """Return the texts of the distributions installed in this environment.

    Each is an item of its own: METADATA, readmes, licences, and of every module the
    docstrings. `paths` are the folders in which distributions are looked for, None
    stands for `sys.path`. Blocks: call it in a thread.

    Raises `CorpusError` when there is none.
    """
    found: dict[str, _Found] = {}
    where = sys.path if paths is None else list(paths)
    for each in _distributions(where):
        found.setdefault(each.name, each)
    sources: dict[str, Source] = {}
    for _, each in sorted(found.items()):
        for source in _of_distribution(each):
            sources.setdefault(source.key, source)
    return _corpus(
        sources, _names(found.values()), 0, "no distribution is installed here"
    )


def from_paths(paths: Iterable[Path]) -> Corpus:
    """Return the documents in these folders, and these files.

    Folders are walked; hidden entries, links to folders and files of other kinds are
    passed over. The names that are looked for are those of the distributions
    installed here. Blocks: call it in a thread.

    Raises `CorpusError` for a path that is not there, a folder that cannot be read, a
    single file of another kind, or when there is no document at all.
    """
    sources: dict[str, Source] = {}
    skipped = 0
    paths = tuple(paths)
    for path in paths:
        for file in _files(path):
            kind = kind_of(file)
            if kind is None:
                skipped += 1
            else:
                source = _of_file(file, kind)
                sources.setdefault(source.key, source)
    where = ", ".join(map(str, paths)) or "no path"
    return _corpus(
        sources,
        _names(_distributions(sys.path)),
        skipped,
        f"no document in {where}: looked for txt, md, rst, html, pdf and docx",
    )


def _corpus(
    sources: dict[str, Source], names: tuple[str, ...], skipped: int, empty: str
) -> Corpus:
    if not sources:
        raise CorpusError(empty)
    if len(sources) > SOURCES_MAX:
        raise CorpusError(
            f"{len(sources):,} documents are more than {SOURCES_MAX:,}: ingest them "
            "folder by folder",
        )
    return Corpus(tuple(sources[key] for key in sorted(sources)), names, skipped)


class _Found(NamedTuple):
    """A distribution, and what of its METADATA is needed again and again.

    `importlib.metadata` parses the whole file anew at every look at one field of it.
    """

    distribution: importlib.metadata.Distribution
    name: str
    """Normalised."""
    version: str
    requires: tuple[str, ...]
    """The normalised names of what it requires."""


def _distributions(paths: list[str]) -> Iterator[_Found]:
    """Find the distributions in these folders; half-removed ones have no name."""
    for distribution in importlib.metadata.distributions(path=paths):
        metadata = distribution.metadata
        name = metadata["Name"] if "Name" in metadata else ""  # noqa: SIM401 - no get in its type
        if name:
            requires = map(required_name, distribution.requires or ())
            yield _Found(
                distribution, normalise(name), metadata["Version"], tuple(requires)
            )


def _names(found: Iterable[_Found]) -> tuple[str, ...]:
    names = {name for each in found for name in (each.name, *each.requires)}
    return tuple(sorted(names - {""}))


def _of_distribution(found: _Found) -> Iterator[Source]:
    for file in found.distribution.files or ():
        kind = kind_in_distribution(file)
        if kind is None or ".." in file.parts:
            continue
        path = Path(str(found.distribution.locate_file(file)))
        if not path.exists() or not _is_worth_an_item(path, kind):
            continue  # what was deleted is still listed, up to Python 3.11
        inside = _without_version(file)
        yield Source(
            key=f"distribution:{found.name}/{inside}",
            kind=kind,
            path=str(path),
            title=f"{found.name} {inside}",
            fingerprint=found.version,
            distribution=found.name,
        )


def _without_version(file: PurePath) -> str:
    """Drop `NAME-VERSION.dist-info`, so that the key outlives an upgrade."""
    parts = file.parts
    return "/".join(parts[1:] if parts[0].endswith(".dist-info") else parts)


def _is_worth_an_item(path: Path, kind: Kind) -> bool:
    """Pass over empty files and modules without docstrings.

    Distributions ship both on purpose. What cannot be read is an item, and fails
    where that is seen.
    """
    try:
        if kind != "docstrings":
            return path.stat().st_size > 0
        code = path.read_bytes()
    except OSError:
        return True
    return b'"""' in code or b"'''" in code


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from _walk(path)
    elif not os.path.lexists(path):
        raise CorpusError(f"{path} is not there: check the path")
    elif kind_of(path) is None:
        raise CorpusError(
            f"{path} is no txt, md, rst, html, pdf or docx: convert it, or rename it "
            "if it is one",
        )
    else:
        yield path


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise CorpusError(
            f"the folder {error.filename} cannot be read ({error.strerror}): change "
            "its permissions or leave it out",
        ) from error

    for root, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(root, name)


def _of_file(path: Path, kind: Kind) -> Source:
    """Describe a file; one that has vanished is an item too, and fails there."""
    full = path.absolute()
    try:
        found = full.stat()
        fingerprint = f"{found.st_size}-{found.st_mtime_ns}"
    except OSError:
        fingerprint = "unreadable"
    if not os.access(full, os.R_OK):  # once it may be read, it is another document
        fingerprint = "unreadable"
    plain = _is_utf_8(full)
    return Source(
        key=f"file:{full}" if plain else full.as_uri(),
        kind=kind,
        path=str(full) if plain else full.as_uri(),
        title=path.name.encode(errors="backslashreplace").decode(),
        fingerprint=fingerprint,
    )


def _is_utf_8(path: Path) -> bool:
    """Tell whether a path can be written down: names are any bytes to the system."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True
