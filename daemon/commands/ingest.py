"""`dramaturg ingest`: documents to text, entities, a graph and a full-text index."""

import os
import signal
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import msgspec
import structlog
from anyio.to_thread import run_sync
from cyclopts import Parameter
from msgspec.structs import replace

from ...applications.documents.assembly import open_documents
from ...applications.documents.chaos import RATE_MAX
from ...applications.documents.corpus import Corpus, from_paths, installed
from ...applications.documents.errors import CorpusError
from ...applications.documents.job import Summary
from ...applications.documents.settings import PIPELINE, DocumentSettings
from ...events import DramaturgError, vocabulary
from ...events.log import EventLog, Recorded, subscribe_pages
from ...events.log.encryption import Keyring
from ...events.log.sqlite import SqliteLog
from ...events.pipelines import Cancelled, GaveUp, ItemDone
from ...projections import OVERVIEW, Checkpoints, CheckpointsError, Overview, Runner
from ..errors import ReaderGoneError, UsageError
from ..layout import (
    LOGS,
    found_keys,
    keys_path,
    log_path,
    made,
    projections_path,
)
from ..logs import logging_to
from ..options import Json
from ..output import Output
from ..progress import Screen, shown
from ..settings import LogSettings, load_settings

_log = structlog.get_logger(__name__)

FAILURES_SHOWN = 20
ENDINGS = (ItemDone, GaveUp, Cancelled)


class Told(msgspec.Struct, frozen=True):
    """What a program is told of an item whose end is durable."""

    position: int
    item: str
    end: str
    """The tag of the event, such as `item.done`."""


def ingest(  # noqa: PLR0913 - the options of a command
    *paths: Annotated[Path, Parameter(help="Folders and files to ingest.")],
    installed: Annotated[  # noqa: A002, RUF100 - reads well on the command line
        bool,
        Parameter(
            help="Ingest the texts of the distributions of this environment.",
        ),
    ] = False,
    data: Annotated[Path, Parameter(help="Where log, graph and index are.")] = Path(
        "var",
    ),
    chaos: Annotated[
        float,
        Parameter(
            help="The share of time in which the graph database fails, such as 0.3."
        ),
    ] = 0.0,
    seed: Annotated[int | None, Parameter(help="Makes --chaos repeatable.")] = None,
    kill_after: Annotated[
        int | None,
        Parameter(help="Kill this process (SIGKILL) once so many documents are done."),
    ] = None,
    config: Annotated[
        Path | None,
        Parameter(help="A settings file; else dramaturg.toml, if there is one."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Bring documents into the graph and the index; run it again and it goes on.

    What is done is not done again, what was interrupted goes on. The status is 1 if
    any document could not be ingested.
    """
    _check(paths, installed=installed, chaos=chaos, kill_after=kill_after)
    loaded = load_settings(os.environ, config)
    settings = replace(
        loaded.documents,
        chaos_rate=chaos,
        chaos_seed=seed,
    )
    output = Output(as_json=as_json)
    job = _Ingestion(data, settings, loaded.log, kill_after, output)
    with logging_to(made(data) / LOGS), warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of modules that are read
        try:
            return anyio.run(job.run, paths)
        except ReaderGoneError as error:
            output.error(f"{error}: run the same command again to go on")
            return 1


def _check(
    paths: tuple[Path, ...],
    *,
    installed: bool,
    chaos: float,
    kill_after: int | None,
) -> None:
    if bool(paths) == installed:
        raise UsageError("name folders or files to ingest, or --installed, not both")
    if not 0.0 <= chaos <= RATE_MAX:
        raise UsageError(f"--chaos is {chaos}: give a share from 0 to {RATE_MAX}")
    if kill_after is not None and kill_after < 1:
        raise UsageError(f"--kill-after is {kill_after}: give a number from 1 on")


class _Ingestion:
    """One run of the command."""

    def __init__(
        self,
        data: Path,
        settings: DocumentSettings,
        log: LogSettings,
        kill_after: int | None,
        output: Output,
    ) -> None:
        self._seals = log.seals
        self._encrypted = log.encrypted
        self._retention = log.retention
        self._data = data
        self._settings = settings
        self._kill_after = kill_after
        self._output = output
        self._told = 0
        """The position up to which a program has been told."""

    async def run(self, paths: tuple[Path, ...]) -> int:
        """Ingest, show how it goes, say what it came to."""
        corpus = await run_sync(_corpus, paths)
        self._output.line(f"{len(corpus.sources)} documents, into {self._data}")
        path = log_path(self._data)
        keys = await run_sync(found_keys, self._data)
        if self._encrypted and keys is None:
            keys = await run_sync(Keyring, keys_path(self._data))
        async with SqliteLog(
            path,
            vocabulary(),
            seals=self._seals,
            keyring=keys,
            retention=self._retention,
        ) as log:
            summary = await self._ingest(corpus, log)
        self._say(summary)
        return 1 if summary.failed or summary.stuck else 0

    async def _ingest(self, corpus: Corpus, log: EventLog) -> Summary:
        self._told = log.position
        async with (
            open_documents(self._data, self._settings, log=log) as job,
            _beside(partial(self._tell, log), partial(self._follow, log), job.watch),
        ):
            summary = await job.ingest(corpus)
        while self._output.as_json and (rest := await log.read(self._told)):
            self._tell_page(rest)
        return summary

    async def _tell(self, log: EventLog) -> None:
        """Tell a program of every item that comes to an end, once that is durable."""
        if not self._output.as_json:
            return
        async for page in subscribe_pages(log, self._told):
            self._tell_page(page)

    def _tell_page(self, page: Sequence[Recorded]) -> None:
        for recorded in page:
            event = recorded.event
            if isinstance(event, ENDINGS):
                told = Told(recorded.position, recorded.stream, event.tag)
                self._output.value(told)
        self._told = page[-1].position

    async def _follow(self, log: EventLog) -> None:
        """Keep the screen and the read models up to date with the log."""
        try:
            await self._show(log)
        except CheckpointsError as error:  # the work goes on unseen
            _log.warning("progress.stopped", error=str(error))

    async def _show(self, log: EventLog) -> None:
        open_checkpoints = partial(Checkpoints, projections_path(self._data))
        with closing(await run_sync(open_checkpoints)) as checkpoints:
            runner = Runner(OVERVIEW, checkpoints)
            screen, done = Screen(PIPELINE, Overview()), None
            with shown(screen, self._output.remarks):
                async for overview in runner.follow(log):
                    screen.overview = overview
                    done = _done(overview) if done is None else done
                    self._maybe_kill(_done(overview) - done)

    def _maybe_kill(self, done: int) -> None:
        if self._kill_after is not None and done >= self._kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    def _say(self, summary: Summary) -> None:
        output = self._output
        if output.as_json:
            output.value(summary)
            return
        output.line(
            f"{summary.done} done now, {summary.known} of {summary.documents} known "
            f"from before; {summary.catalogued} in the graph, {summary.indexed} in "
            f"the index; the breaker tripped {summary.breaker_trips} times, "
            f"{summary.letters_redriven} dead letters were tried again",
        )
        for failed in summary.failed[:FAILURES_SHOWN]:
            output.error(f"dead letter at {failed.stage}: {failed.message}")
        more = len(summary.failed) - FAILURES_SHOWN
        if more > 0:
            output.error(f"and {more} more dead letters: see `dramaturg state`")
        if summary.stuck:
            output.error(f"{summary.stuck} items are stuck: see `dramaturg state`")


@asynccontextmanager
async def _beside(
    *works: Callable[[], Coroutine[Any, Any, None]],
) -> AsyncGenerator[None]:
    """Run `works` while the block runs; what the block raises leaves ungrouped."""
    failures: list[BaseException] = []
    try:
        async with anyio.create_task_group() as group:
            for work in works:
                group.start_soon(work)
            try:
                yield
            except DramaturgError as error:
                failures.append(error)
            group.cancel_scope.cancel()
    except* DramaturgError as raised:
        failures += raised.exceptions
    if failures:
        raise failures[0]


def _corpus(paths: tuple[Path, ...]) -> Corpus:
    try:
        return from_paths(paths) if paths else installed()
    except CorpusError as error:
        raise UsageError(str(error)) from error


def _done(overview: Overview) -> int:
    view = overview.items.pipelines.get(PIPELINE)
    return 0 if view is None else view.at("done")
