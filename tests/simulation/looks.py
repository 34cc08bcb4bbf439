"""What is looked at in the quiet between two actions: replay equals life, and limits."""

from typing import Any

from dramaturg.actors.dead_letters.entry import FOLD as LETTER
from dramaturg.actors.pipelines import FOLD as ITEM
from dramaturg.actors.runtime import NoSuchActorError
from dramaturg.actors.runtime.stream_owner import StreamOwnerJournal
from dramaturg.actors.transactions.transaction import FOLD as TRANSACTION
from dramaturg.events import Event, Fold

from .life import STAGES, TIMEOUT_S, Life
from .promise import holds

OWNERS: tuple[tuple[str, str, Fold[Any]], ...] = (
    ("/pipelines/work/items", "item/work/", ITEM),
    ("/transactions/main", "transaction/main/", TRANSACTION),
    ("/mail", "dead-letter/mail/", LETTER),
    ("/stuck", "dead-letter/stuck/", LETTER),
)


async def look(life: Life) -> None:
    """Compare what actors know with what the log says, and both with the limits."""
    for path, prefix, fold in OWNERS:
        await _look_at(life, path, prefix, fold)
    _look_at_breaker(life)
    _look_at_limits(life)


async def _look_at(life: Life, path: str, prefix: str, fold: Fold[Any]) -> None:
    try:
        cell = life.system.cell(path)
    except NoSuchActorError:
        return
    owner: Any = cell.actor
    if cell.state != "running" or not isinstance(cell.journal, StreamOwnerJournal):
        return
    for stream, state in owner.states.items():
        recorded = await life.log.peek(stream)
        if owner.version(stream) > len(recorded):
            continue  # the rest is on its way
        if owner.version(stream) < len(recorded):
            handed = getattr(state, "place", "") == "redriving"
            holds(handed, 2, path, f"knows {stream} as it was", state)
            continue
        folded = fold.initial(stream)
        for each in recorded:
            assert isinstance(each.event, Event)
            folded = fold.evolve(folded, each.event)
        holds(folded == state, 2, path, state, "the log says", folded)
    if prefix.startswith("dead-letter"):
        return  # those that were not announced are found by the next sweep
    for head in await life.log.peek_open(prefix):
        holds(head.stream in owner.states, 2, f"{path} does not know {head.stream}")


def _look_at_breaker(life: Life) -> None:
    breaker = life.breakers["graph"]
    recorder: Any = breaker._recorder  # pyright: ignore[reportPrivateUsage]
    model = life.book.breakers.get("breaker/graph")
    outbox = recorder.outbox
    if model is None or outbox.waiting or outbox.handed or not breaker.machine.ready:
        return
    state = breaker.machine.state
    now, logged = (state.phase, state.generation), (model.phase, model.generation)
    holds(now == logged, 2, f"the breaker is {now}, the log says {logged}")
    process = life.process
    if process.kills or any(stage == "store" for _, stage in process.inside):
        return
    leaked = [probe for probe, at in model.out.items() if at > life.first]
    holds(not leaked, 6, f"probes {leaked} have ended and keep their permits")


def _look_at_limits(life: Life) -> None:
    scenario, book = life.scenario, life.book
    accepted = sum(not item.redrives for item in book.items.values() if item.is_open)
    holds(accepted <= scenario.in_flight_max, 6, f"{accepted} items are open")
    counts = {stage: book.running(stage) for stage in STAGES}
    few = max(counts.values()) <= scenario.concurrency
    holds(few and sum(counts.values()) <= scenario.running_max, 6, f"running: {counts}")
    late_s = life.loop.time() - TIMEOUT_S - 1
    late = [place for place, at in life.process.since_s.items() if at < late_s]
    holds(not late, 6, f"these attempts outlive their time: {late}")
    kept = [letter for letter in book.letters.values() if letter.is_open]
    mail = [letter for letter in kept if letter.stream.startswith("dead-letter/mail")]
    full = len(mail) > scenario.entries_max
    holds(not full or not scenario.asks_for_room, 6, f"{len(mail)} entries are kept")
    for cell in life.system.cells():
        bound = (
            cell.spec.mailbox.capacity + 1000
        )  # ticks and outcomes are counted elsewhere
        holds(cell.depth <= bound, 6, f"{cell.path}: {cell.depth} messages wait")
