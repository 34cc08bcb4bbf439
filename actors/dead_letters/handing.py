"""How work goes back to its owner, and how forgotten entries are found."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial

from ...events import Event, UnknownEvent
from ...events.log import EventLog, StreamHead
from ..runtime import ActorContext, Message, Ref
from .entry import Entry
from .messages import Adopt, Answered, FoundInLog, LookedUp, TakeBack

Owners = Callable[[Entry], Ref]
"""Finds the actor that takes the work of an entry back; may raise `ActorError`."""


class Handing:
    """Asks owners to take work back, one question per entry at a time."""

    def __init__(self, ctx: ActorContext, owners: Owners | None, wait_s: float) -> None:
        self._ctx = ctx
        self._owners = owners or self._owner
        self._wait_s = wait_s
        self._asked: set[str] = set()

    def ask(self, entry: Entry) -> None:
        """Ask the owner, unless it has been asked and has not answered."""
        if entry.stream in self._asked:
            return
        self._asked.add(entry.stream)
        message = TakeBack(
            entry=entry.stream,
            version=entry.version,
            item=entry.item,
            item_version=entry.item_version,
            payload=entry.edited or None,
        )

        async def ask() -> bool:
            owner = self._owners(entry)
            return await owner.ask(message, timeout_s=self._wait_s)

        self._ctx.run(
            ask(),
            then=partial(Answered, entry.stream),
            failed=lambda error: Answered(entry.stream, None, repr(error)),
        )

    def answered(self, stream: str) -> None:
        """Note that the owner has answered, or will not."""
        self._asked.discard(stream)

    def _owner(self, entry: Entry) -> Ref:
        """Find the pipeline or coordinator whose stream the work is."""
        if entry.item.startswith("item/"):
            return self._ctx.system.ref(f"/pipelines/{entry.pipeline}/items")
        return self._ctx.system.ref(f"/transactions/{entry.pipeline}")

    def look_up(self, entry: Entry) -> None:
        """See whether the entry was taken back before, and the answer was lost."""

        def then(head: StreamHead | None) -> Message:
            return LookedUp(entry.stream, 0 if head is None else head.version)

        def failed(_error: Exception) -> Message:
            return LookedUp(entry.stream, 0)

        log = self._ctx.system.needed_log(self._ctx.self.path)
        self._ctx.run(log.head(entry.stream), then=then, failed=failed)


async def forgotten(
    log: EventLog, prefix: str, known: AbstractSet[str], most: int
) -> FoundInLog:
    """Return open entries that the queue does not know, because nobody told it."""
    adoptions: list[Adopt] = []
    for head in await log.open_streams(prefix):
        if head.stream in known or len(adoptions) == most:
            continue
        recorded = await log.read_stream(head.stream)
        events: list[Event] = [
            e.event for e in recorded if not isinstance(e.event, UnknownEvent)
        ]
        if len(events) == len(recorded):
            owner = recorded[0].header.owner
            adoptions.append(Adopt(head.stream, tuple(events), owner))
    return FoundInLog(tuple(adoptions))
