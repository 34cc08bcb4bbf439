"""Erases one owner's data: destroys the keys, says so in the log, and looks after it."""

import gzip
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec
from anyio.to_thread import run_sync

from ...durable import sync_folder
from ...event import Event
from ..api import Appended, Context, Recorded, StreamAppend, StreamHead
from ..errors import LogError
from .event import STREAM, ErasureBegan, OwnerErased
from .keyring import SNAPSHOTS, Keyring
from .survey import Look, Survey, Surveyed

POSITIONS_TOLD = 10


class PlainPayloadsError(LogError):
    """Some of an owner's data was written without encryption and cannot be erased."""

    def __init__(self, owner: str, positions: list[int], snapshots: int) -> None:
        told = ", ".join(map(str, positions[:POSITIONS_TOLD]))
        more = ", ..." if len(positions) > POSITIONS_TOLD else ""
        super().__init__(
            f"{len(positions)} events of {owner!r} (positions {told or 'none'}{more}) "
            f"and {snapshots} snapshots were written without encryption, and stay "
            "readable whatever is done to a key: erase the rest with --partly",
        )
        self.positions = positions


class NodesAtWorkError(LogError):
    """Other nodes have the log open, whose actors would remember."""

    def __init__(self, nodes: Sequence[str]) -> None:
        super().__init__(
            f"nodes {', '.join(map(repr, nodes))} have the log open, and what their "
            "actors read of the owner is in their memory: stop them first",
        )
        self.nodes = nodes


class ErasableLog(Protocol):
    """What erasing asks of a log; all of ours are one."""

    def look(self) -> Surveyed:
        """Open it for a survey. Blocking."""
        ...

    async def others(self) -> Sequence[str]:
        """Return what else writes it now: nodes, whose actors remember."""
        ...

    def append(
        self, streams: Sequence[StreamAppend], context: Context
    ) -> Awaitable[Appended]:
        """Append and wait until it is durable."""
        ...

    async def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends."""
        ...

    async def read_stream(self, stream: str) -> list[Recorded]:
        """Read one stream."""
        ...


class Erasure(msgspec.Struct, frozen=True):
    """What was erased, or would be, and what is left of it."""

    owner: str
    events: int
    streams: int
    readable: int
    """How many of the events could be read before."""
    artifacts: int
    """How many files of large values were deleted, or would be."""
    artifacts_shared: int
    """How many were kept, because others' events name them, too."""
    open: int
    """How many of the streams are open: their work ends at the next start."""
    plain: tuple[int, ...]
    """The positions of events that were written without encryption."""
    left: int = 0
    """How many events and snapshots can still be read; plain ones are among them."""
    traces: tuple[str, ...] = ()
    """Files in which texts of the owner's payloads still stand."""
    searched: int = 0
    """For how many texts the files were searched; none, if nothing could be read."""

    @property
    def ok(self) -> bool:
        """Whether nothing readable is left."""
        return not self.left and not self.traces


def would_erase(look: Look, keyring: Keyring, owner: str, artifacts: Path) -> Erasure:
    """Say what `erase_owner` would do now; any process may ask. Blocking."""
    return _erasure(owner, Survey(look, keyring, owner), artifacts)


async def erase_owner(  # noqa: PLR0913 - by name
    log: ErasableLog,
    keyring: Keyring,
    owner: str,
    *,
    reason: str,
    by: str,
    artifacts: Path,
    folder: Path | None = None,
    partly: bool = False,
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> Erasure:
    """Make all payloads of an owner unreadable, wherever they have been copied.

    An event says that it begins; the files under `artifacts` that only this owner's
    events name are deleted; the owner's keys are destroyed, and with them the one of
    all snapshots, since owners mix in states; an event says that it is done. Then the
    log is read through, and the files in `folder` (if given) are searched for texts
    that stood in the payloads. Interrupted at any moment, it can be repeated. No
    actor may be at work on the log, for it would remember.

    Raises `PlainPayloadsError` unless `partly`, and `NodesAtWorkError`, before
    anything is done, `LogError`s and `OSError`.
    """
    if others := await log.others():
        raise NodesAtWorkError(others)
    survey = await run_sync(Survey, log.look, keyring, owner)
    if not survey.events:
        return await run_sync(_erasure, owner, survey, artifacts)
    if (survey.plain or survey.plain_snapshots) and not partly:
        raise PlainPayloadsError(owner, survey.plain, survey.plain_snapshots)
    names = await run_sync(keyring.names, owner)
    done = await _events(log, owner)
    events = survey.events - len(survey.plain)
    begun = bool(done) and isinstance(done[-1], ErasureBegan)
    finished = bool(done) and done[-1].keys == names and not begun
    erasure = await run_sync(_erasure, owner, survey, artifacts)
    if not finished:
        context = Context(at_us=now_us(), by=by)
        if not begun:
            event: Event = ErasureBegan(owner, names, events, reason)
            await _append(log, event, context)
        await run_sync(_delete, artifacts, survey.artifacts())
        await run_sync(keyring.destroy, owner)
        await run_sync(keyring.destroy, SNAPSHOTS)
        event = OwnerErased(owner, names, events, erasure.artifacts, reason)
        await _append(log, event, context)
    texts = survey.texts()
    after = await run_sync(Survey, log.look, keyring, owner)
    traces = [] if folder is None else await run_sync(_traces, folder, keyring, texts)
    return msgspec.structs.replace(
        erasure,
        left=after.readable + len(after.plain) + after.snapshots,
        traces=tuple(map(str, traces)),
        searched=len(texts) if folder is not None else 0,
    )


def _erasure(owner: str, survey: Survey, artifacts: Path) -> Erasure:
    return Erasure(
        owner,
        survey.events,
        len(survey.streams),
        survey.readable,
        len(_files(artifacts, survey.artifacts())),
        len(_files(artifacts, survey.shared_artifacts())),
        survey.open,
        tuple(survey.plain),
    )


async def _events(log: ErasableLog, owner: str) -> list[ErasureBegan | OwnerErased]:
    return [
        recorded.event
        for recorded in await log.read_stream(STREAM)
        if isinstance(recorded.event, ErasureBegan | OwnerErased)
        and recorded.event.owner == owner
    ]


async def _append(log: ErasableLog, event: Event, context: Context) -> None:
    head = await log.head(STREAM)
    version = head.version if head else 0
    await log.append([StreamAppend(STREAM, version, (event,))], context)


def _files(artifacts: Path, digests: Iterable[str]) -> list[Path]:
    files = (artifacts / digest[:2] / digest for digest in digests)
    return [file for file in files if file.exists()]


def _delete(artifacts: Path, digests: set[str]) -> None:
    for file in _files(artifacts, digests):
        file.unlink()
        sync_folder(file.parent)


def _traces(folder: Path, keyring: Keyring, texts: list[bytes]) -> list[Path]:
    """Return the files in which one of the texts stands."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path != keyring.path
        and any(text in part for part in _contents(path) for text in texts)
    ]


def _contents(path: Path) -> Iterator[bytes]:
    """Yield what is in a file.

    A database that is in use, as the log is, is not opened past SQLite: closing it
    would drop the locks of this process, and the next reader from another one would
    take itself for the last and delete the WAL.
    """
    database = path.with_name(path.name.removesuffix("-shm"))
    if path != database and database.exists():
        return  # where SQLite keeps numbers alone
    if path.with_name(f"{path.name}-shm").exists():
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            yield db.serialize()
        return
    contents = path.read_bytes()
    yield contents
    if path.suffix == ".gz":
        yield gzip.decompress(contents)
