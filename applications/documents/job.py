"""A running document pipeline, as a command or a host program uses it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio
import msgspec
import structlog
from anyio.to_thread import run_sync

from ...actors.breakers import Breaker
from ...actors.breakers import Statistics as BreakerStatistics
from ...actors.dead_letters import Entry, GetStatistics, ListEntries
from ...actors.dead_letters import Statistics as LetterStatistics
from ...actors.pipelines import Figures, RunningPipeline
from ...actors.runtime import Ref
from ...actors.transactions import Coordinator
from ...events.log import EventLog, LogUnavailableError
from ...events.log.artifacts import ArtifactStore
from ...events.pipelines import ItemDone
from .catalogue import Catalogue
from .corpus import Corpus
from .dedicated_thread import HUNG_S
from .index import TextIndex
from .settings import QUEUE, DocumentSettings
from .workshop import Order

T = TypeVar("T")

ANSWER_S = 30.0

AFTER_S = 0.2
"""So long after their log actors are asked again: they come back after it."""

_log = structlog.get_logger(__name__)


class Progress(msgspec.Struct, frozen=True, gc=False):
    """How far a job is."""

    documents: int
    """Documents of the corpora that were ingested in this run."""
    submitted: int
    """Those that have been handed to the pipeline."""
    known: int
    """Those of them that an earlier run has handed to it."""
    pipeline: Figures
    breaker: BreakerStatistics
    letters: LetterStatistics


class Failed(msgspec.Struct, frozen=True, gc=False):
    """A document that is a dead letter."""

    item: str
    """The stream of its item."""
    entry: str
    """The stream of its dead letter."""
    key: str
    stage: str
    error: str
    message: str


class Summary(msgspec.Struct, frozen=True, gc=False):
    """What a job came to."""

    documents: int
    submitted: int
    """New documents."""
    known: int
    """Documents that an earlier run was handed already."""
    done: int
    """Documents that were finished in this run."""
    indexed: int
    """Documents in the index, of all runs."""
    catalogued: int
    """Documents in the graph and the catalogue, of all runs."""
    failed: tuple[Failed, ...]
    """The dead letters, of all runs."""
    stuck: int
    """Items that neither went on nor back by themselves."""
    breaker_trips: int
    """How often the breaker opened, in all runs."""
    letters_redriven: int


class DocumentJob:
    """Ingests corpora and says how it goes; see `open_documents`."""

    def __init__(  # noqa: PLR0913 - it holds the parts together
        self,
        settings: DocumentSettings,
        *,
        pipeline: RunningPipeline,
        breaker: Breaker,
        coordinator: Coordinator,
        letters: Ref,
        log: EventLog,
        artifacts: ArtifactStore,
        catalogue: Catalogue,
        index: TextIndex,
        require_alive: Callable[[], None],
        began: int,
    ) -> None:
        self.settings = settings
        self.pipeline = pipeline
        self.breaker = breaker
        self.coordinator = coordinator
        self.index = index
        self.catalogue = catalogue
        self._letters = letters
        self._log = log
        self._artifacts = artifacts
        self._require_alive = require_alive
        self._began = began
        """The position before anything of this run."""
        self._documents = 0
        self._submitted = 0
        self._known = 0

    async def ingest(self, corpus: Corpus) -> Summary:
        """Submit what was not submitted before, and see everything to its end.

        Returns when every document is done, or a dead letter that is not tried again
        by itself, or stuck. While the log cannot be written it waits.
        """
        await self.submit(corpus)
        await self._patiently(self.settle)
        return await self._patiently(self.summary)

    async def submit(self, corpus: Corpus) -> None:
        """Hand the documents to the pipeline, as fast as it takes them."""
        names = await self._artifacts.put_bytes(
            await run_sync(msgspec.json.encode, corpus.names), name="the names"
        )
        self._documents += len(corpus.sources)
        for source in corpus.sources:
            found = await self._patiently(
                partial(
                    self.pipeline.submit, Order(source, names), key=source.submission
                )
            )
            self._submitted += 1
            self._known += not found.is_new

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what `work` returns; it is begun anew when the log is back."""
        while True:
            try:
                return await work()
            except LogUnavailableError as error:
                _log.warning("documents.waiting", error=str(error))
            await self._log_is_back()

    async def _log_is_back(self) -> None:
        back = anyio.Event()
        forget = self._log.on_availability(
            lambda available: back.set() if available else None
        )
        try:
            if not self._log.available:
                await back.wait()
        finally:
            forget()
        await anyio.sleep(AFTER_S)

    async def settle(self) -> None:
        """Wait until nothing goes on by itself, the background redrives included."""
        while True:
            await self.pipeline.wait_idle()
            before = await self.dead_letters()
            if not any(map(_is_pending, before)):
                busy = (await self.pipeline.figures()).busy
                if not busy and await self._are_all(before):
                    return
            await anyio.sleep(self.settings.redrive_s / 4)

    async def watch(self) -> None:
        """Look after the graph, until cancelled.

        Raises `ThreadHungError` when it does not come back from a call, as after a
        full disk. Without that its documents would be put off for ever.
        """
        while True:
            self._require_alive()
            await anyio.sleep(HUNG_S / 4)

    async def _are_all(self, before: tuple[Entry, ...]) -> bool:
        """Tell whether these are the dead letters still, and none is on its way.

        An item that has just been given up stands in the log before its queue hears
        of it, and one that was redriven may have come back meanwhile.
        """
        heads = await self._log.open_streams(f"dead-letter/{QUEUE}/")
        parked = {(head.stream, head.version) for head in heads}
        return parked == {(entry.stream, entry.version) for entry in before}

    async def progress(self) -> Progress:
        """Return how far it is."""
        return Progress(
            documents=self._documents,
            submitted=self._submitted,
            known=self._known,
            pipeline=await self.pipeline.figures(),
            breaker=self.breaker.statistics(),
            letters=await self._letters.ask(GetStatistics(), timeout_s=ANSWER_S),
        )

    async def summary(self) -> Summary:
        """Return what it has come to."""
        progress = await self.progress()
        entries = await self.dead_letters()
        return Summary(
            documents=progress.documents,
            submitted=progress.submitted - progress.known,
            known=progress.known,
            done=await self._done(),
            indexed=await self.index.count(),
            catalogued=await self.catalogue.count(),
            failed=tuple(
                Failed(
                    item=entry.item,
                    entry=entry.stream,
                    key=entry.key,
                    stage=entry.stage,
                    error=entry.error,
                    message=entry.message,
                )
                for entry in entries
            ),
            stuck=progress.pipeline.places.get("stuck", 0),
            breaker_trips=progress.breaker.trips,
            letters_redriven=progress.letters.returned,
        )

    async def _done(self) -> int:
        """Count what the log says was finished: a pipeline that is rebuilt begins anew."""
        after, done = self._began, 0
        prefix = self.pipeline.pipeline.prefix
        while page := await self._log.read(after):
            after = page[-1].position
            done += sum(
                isinstance(recorded.event, ItemDone)
                and recorded.stream.startswith(prefix)
                for recorded in page
            )
        return done

    async def dead_letters(self) -> tuple[Entry, ...]:
        """Return the entries that are in the queue now."""
        return await self._letters.ask(ListEntries(), timeout_s=ANSWER_S)


def _is_pending(entry: Entry) -> bool:
    """Tell whether a dead letter will be redriven without anybody's doing."""
    undecided = entry.version == 1 and entry.strategy != "none"
    return undecided or entry.place == "redriving" or entry.due_us is not None
