"""Faults that are planted into the product, each of which the simulation must find.

A fault is planted by putting another function in the place of one of the product's,
in this process alone.
"""

# Faults go where users never come:
# pyright: reportPrivateUsage=false

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from dramaturg.actors.breakers.generation import Generation
from dramaturg.actors.breakers.machine import Machine
from dramaturg.actors.dead_letters.rooms import Rooms
from dramaturg.actors.pipelines.actor import PipelineActor
from dramaturg.actors.pipelines.board import Board
from dramaturg.actors.pipelines.decisions import DECISIONS, ItemDecisions
from dramaturg.actors.pipelines.effects import ItemEffects
from dramaturg.actors.pipelines.messages import Redrive, Reopened, RunAttempt
from dramaturg.actors.pipelines.plan import Plan
from dramaturg.actors.pipelines.worker import StageWorker
from dramaturg.actors.runtime import OwnerDecision
from dramaturg.actors.runtime.journal import Journal
from dramaturg.actors.runtime.timers import Timers
from dramaturg.actors.transactions import deciding
from dramaturg.actors.transactions.desk import Desk
from dramaturg.actors.transactions.fence import Fence
from dramaturg.actors.transactions.moves import undo
from dramaturg.actors.transactions.works import Works
from dramaturg.events import Event
from dramaturg.events.log.memory_store import MemoryStore
from dramaturg.events.pipelines import Redriven

Function = Callable[..., Any]
Planting = Callable[[Function], Function]
"""Makes a faulty function out of the good one."""


class Fault(msgspec.Struct, frozen=True):
    """A fault, where it goes, and what is wrong with it."""

    name: str
    owner: Any
    attribute: Any
    plant: Planting

    @contextmanager
    def planted(self) -> Generator[None]:
        """Have the product be faulty as long as the block lasts."""
        owner = self.owner
        put: Callable[[Any, Function], None]
        if hasattr(owner, "__setitem__"):  # a table of functions
            put, good = owner.__setitem__, owner[self.attribute]
        else:
            put = partial(setattr, owner)
            good = owner.__dict__[self.attribute]
        put(self.attribute, self.plant(good))
        try:
            yield
        finally:
            put(self.attribute, good)


FAULTS: dict[str, Fault] = {}
FOUND_AT: dict[str, int] = {
    "leaked_probe_permit": 21,
    "timers_outlive_a_restart": 0,
    "version_fence_missing": 332,
    "fence_missing": 738,
    "probes_without_a_limit": 21,
    "late_result_moves_the_breaker": 561,
    "queue_without_a_limit": 41,
    "acknowledges_before_fsync": 0,
    "attempt_made_again_without_being_logged": 0,
    "compensation_in_wrong_order": 3,
    "concurrency_unbounded": 8,
    "double_redrive": 111,
    "effects_before_durable": 0,
    "given_up_without_parking": 2,
    "idempotency_key_ignored": 0,
    "lost_attempt_beside_its_compensation": 1769,
    "lost_outbox": 0,
    "overtaken_work_believed": 8,
    "parked_without_giving_up": 2,
    "redriven_and_kept_as_a_letter": 2,
    "retry_forgotten_at_restart": 0,
    "skipped_compensation": 2,
    "steps_undone_in_wrong_order": 10,
    "stuck_without_a_letter": 8,
    "time_out_ignored": 1,
}
"""Seeds that find them: a short cut, which another version may take by another."""


def fault(owner: Any, attribute: Any) -> Callable[[Planting], Planting]:
    """Add a fault, named after the function that makes it."""

    def add(plant: Planting) -> Planting:
        name = plant.__name__
        FAULTS[name] = Fault(name, owner, attribute, plant)
        return plant

    return add


def nothing(*_: object, **__: object) -> None:
    """Do nothing."""


# Durability


@fault(Journal, "submit")
def acknowledges_before_fsync(good: Function) -> Function:
    def submit(self: Journal, *args: Any) -> Any:
        entry = good(self, *args)
        entry.say()
        return entry

    return submit


@fault(Journal, "submit")
def effects_before_durable(good: Function) -> Function:
    def submit(self: Journal, *args: Any) -> Any:
        entry = good(self, *args)
        for append in args[2]:
            for event in append.events:
                self._react(append.stream, event, self._context)
        return entry

    return submit


@fault(Journal, "_settle")
def lost_outbox(good: Function) -> Function:
    """Every ninth decision is answered, and its effects are forgotten."""
    count = 0

    def settle(self: Journal, entry: Any, appended: Any) -> None:
        nonlocal count
        count += 1
        if count % 9:
            good(self, entry, appended)
        else:
            self._undurable -= entry.events
            entry.say()

    return settle


@fault(MemoryStore, "_check_keys")
def idempotency_key_ignored(_: Function) -> Function:
    return nothing


@fault(MemoryStore, "_check_versions")
def version_fence_missing(_: Function) -> Function:
    return nothing


# The pipeline


@fault(Plan, "undoes")
def skipped_compensation(good: Function) -> Function:
    def undoes(self: Plan, begun: Any) -> str:
        return good(self, begun) if len(begun) != 2 else ""

    return undoes


@fault(Plan, "undoes")
def compensation_in_wrong_order(good: Function) -> Function:
    def undoes(self: Plan, begun: Any) -> str:
        left = [stage for stage in begun if good(self, (stage,))]
        return left[0] if left else ""

    return undoes


@fault(PipelineActor, "_take_up")
def attempt_made_again_without_being_logged(good: Function) -> Function:
    """After a restart a running attempt is started again instead of counted as lost."""

    def take_up(self: PipelineActor, stream: str, item: Any) -> None:
        good(self, stream, item)
        if item.phase == "running" and item.stage in self.crew.workers:
            self.run(stream, item.stage, item.attempt, undoing=item.undoing)

    return take_up


@fault(ItemDecisions, "decided")
def parked_without_giving_up(good: Function) -> Function:
    def decided(self: ItemDecisions, *args: Any) -> OwnerDecision:
        decision: OwnerDecision = good(self, *args)
        return OwnerDecision(decision.writes[-1:]) if decision.writes else decision

    return decided


@fault(ItemDecisions, "decided")
def given_up_without_parking(good: Function) -> Function:
    def decided(self: ItemDecisions, *args: Any) -> OwnerDecision:
        decision: OwnerDecision = good(self, *args)
        return OwnerDecision(decision.writes[:1])

    return decided


@fault(ItemEffects, "wake_when_due")
def retry_forgotten_at_restart(_: Function) -> Function:
    return nothing


@fault(StageWorker, "_stop")
def time_out_ignored(_: Function) -> Function:
    return nothing


@fault(Board, "free")
def concurrency_unbounded(_: Function) -> Function:
    def free(self: Board, stage: str, leaving: str | None = None) -> bool:
        del leaving
        return stage in self.manned

    return free


@fault(ItemEffects, "run")
def lost_attempt_beside_its_compensation(_: Function) -> Function:
    """What the simulation itself found in the product once."""

    def run(
        self: ItemEffects, stream: str, stage: str, attempt: int, **more: bool
    ) -> None:
        undoing = more.get("undoing", False)
        item = self.states.get(stream)
        if item is not None and (item.phase, item.stage) == ("running", stage):
            asked = RunAttempt(item, stage, attempt, undoing, self.generations[stage])
            self.crew.workers[stage].tell(asked)

    return run


@fault(PipelineActor.handlers, Reopened)
def double_redrive(_: Function) -> Function:
    """An owner that is asked again redrives again, though it has done so."""

    def reopened(self: PipelineActor, message: Reopened) -> None:
        asked = message.take_back
        events = [event for event in message.events if isinstance(event, Event)]
        before = sum(isinstance(e, Redriven) and e.entry == asked.entry for e in events)
        again = msgspec.structs.replace(asked, version=asked.version + before)
        self.ctx.self.tell(Redrive(again, tuple(events)))

    return reopened


@fault(DECISIONS, Redrive)
def redriven_and_kept_as_a_letter(good: Function) -> Function:
    """The item goes on, and its entry could be redriven once more."""

    def redrive(self: ItemDecisions, *args: Any) -> OwnerDecision:
        decision: OwnerDecision = good(self, *args)
        return OwnerDecision(decision.writes[:1])

    return redrive


@fault(Rooms, "reserve")
def queue_without_a_limit(_: Function) -> Function:
    return lambda *_: True


# Transactions


@fault(deciding, "_follow_back")
def steps_undone_in_wrong_order(good: Function) -> Function:
    def follow_back(state: Any, setting: Any) -> Any:
        for number, step in enumerate(state.steps):
            if step.status == "undoing":
                return None
            if step.attempts and step.status in {"done", "started", "failed"}:
                return undo(number, step, setting.now_us)
        return good(state, setting)

    return follow_back


@fault(Fence, "held")
def fence_missing(_: Function) -> Function:
    @contextmanager
    def held(self: Fence) -> Generator[None]:
        del self
        yield

    return held


@fault(Desk, "writes")
def stuck_without_a_letter(good: Function) -> Function:
    def writes(self: Desk, *args: Any) -> Any:
        return good(self, *args)[:1]

    return writes


@fault(Works, "ended")
def overtaken_work_believed(good: Function) -> Function:
    """A time-out leaves the work it has overtaken in the books."""

    def ended(self: Works, number: int) -> Any:
        work = self._works.get(number)
        good(self, number)
        if work is not None:
            self._of_step[work.stream, work.step] = number
            self._works[number] = work
        return work

    return ended


# The breaker, and the runtime


@fault(Machine, "_settle_probe")
def leaked_probe_permit(good: Function) -> Function:
    """A probe whose call was not good keeps its place."""

    def settle(self: Machine, settlement: Any, now: Any) -> None:
        if settlement.outcome == "success":
            good(self, settlement, now)

    return settle


@fault(Machine, "_admit_probe")
def probes_without_a_limit(good: Function) -> Function:
    def admit(self: Machine, now: Any) -> Any:
        state = self.state
        self.state = msgspec.structs.replace(state, leases=())
        permit = good(self, now)
        if permit is None:
            self.state = state
        return permit

    return admit


@fault(Machine, "record")
def late_result_moves_the_breaker(good: Function) -> Function:
    def record(self: Machine, _: Generation, now: Any, **more: Any) -> None:
        good(self, self.generation, now, **more)

    return record


@fault(Timers, "cancel_all")
def timers_outlive_a_restart(_: Function) -> Function:
    return nothing
