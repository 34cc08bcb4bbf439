"""Everything at a glance: what a progress display and a summary of a run show."""

from collections.abc import Callable

import msgspec

from ..events import Event
from ..events.log import Recorded
from .breakers import BreakersView
from .dead_letters import DeadLettersView
from .folds import kind_of
from .pipelines import PipelinesView
from .projection import Projection
from .transactions import TransactionsView


class Overview(msgspec.Struct):
    """The read models of the reliability actors, all as of one position."""

    position: int = 0
    committed_us: int = 0
    """When the event at `position` was committed."""
    items: PipelinesView = msgspec.field(default_factory=PipelinesView)
    breakers: BreakersView = msgspec.field(default_factory=BreakersView)
    dead_letters: DeadLettersView = msgspec.field(default_factory=DeadLettersView)
    transactions: TransactionsView = msgspec.field(default_factory=TransactionsView)
    unknown: int = 0
    """Events whose tag nobody registered."""


def apply(overview: Overview, recorded: Recorded) -> Overview:
    """Hand an event to the read model of its kind of stream, and to no other."""
    overview.position = recorded.position
    overview.committed_us = recorded.header.committed
    event = recorded.event
    if not isinstance(event, Event):
        overview.unknown += 1
        return overview
    handle = _HANDLERS.get(kind_of(recorded.stream))
    if handle is not None:
        handle(overview, recorded.stream, event)
    return overview


_HANDLERS: dict[str, Callable[[Overview, str, Event], None]] = {
    "item": lambda o, stream, event: o.items.apply_item(stream, event),
    "pipeline": lambda o, stream, event: o.items.apply_pipeline(stream, event),
    "dead-letter": lambda o, stream, event: o.dead_letters.apply_entry(stream, event),
    "transaction": lambda o, s, event: o.transactions.apply_transaction(s, event),
    "breaker": lambda o, stream, event: o.breakers.apply_breaker(stream, event),
}

OVERVIEW = Projection(
    name="overview",
    state=Overview,
    initial=Overview,
    apply=apply,
    version=1,
)
