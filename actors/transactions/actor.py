"""The actor that sees transactions through: decisions in, effects out."""

from typing import assert_never

from ...events import Event
from ...events.dead_letters import Parked
from ...events.transactions import (
    Committed,
    CompensationStarted,
    Retried,
    RollbackStarted,
    RolledBack,
    StepDoubted,
    StepSkipped,
    StepStarted,
    Stuck,
)
from ..dead_letters.messages import Adopt, Resolve, Selection, TakeBack
from ..runtime import (
    Later,
    Message,
    OwnerContext,
    OwnerDecision,
    Ref,
    StreamOwner,
    Write,
    handles,
)
from ..runtime.stream_owner import SNAPSHOT_EVERY
from .desk import Desk, States
from .fence import Fences
from .limits import Limits
from .messages import (
    AwaitEnd,
    Begin,
    GetTransaction,
    ListActive,
    Outcome,
    RecoverAll,
    Report,
    ResolveStuck,
    RollBack,
    Summary,
    TidyFailed,
    TookTooLong,
    outcome_of,
    summary_of,
)
from .moves import ready
from .news import AnyNews, Recovered, Ticked
from .step import Steps
from .transaction import FOLD, Transaction
from .works import Works

SLACK_S = 0.001
"""Timers go off this much late, lest rounding makes them early."""


class CoordinatorActor(StreamOwner[Transaction]):
    """Owns the open transactions of one coordinator.

    Its decisions are those of `deciding`; an effect is started once the event that
    announces it is durable, runs beside the mailbox, and reports back as news.
    `letters` is the actor of the dead letter queue `queue`, where the stuck are
    parked for somebody to see; `fences` are handed on from one instance to the next.
    """

    fold = FOLD
    snapshot_every = SNAPSHOT_EVERY

    def __init__(  # noqa: PLR0913 - all that it is made of
        self,
        name: str,
        steps: Steps,
        limits: Limits | None = None,
        *,
        letters: Ref | None = None,
        queue: str = "",
        fences: Fences | None = None,
    ) -> None:
        queue = queue if letters is not None else ""
        self._desk = Desk(name, limits or Limits(), queue)
        self.prefix = self._desk.prefix
        self._steps = steps
        self._letters = letters
        self._fences = fences or Fences()
        self._keys: dict[str, str] = {}
        self._waiting: dict[str, list[Later]] = {}
        self._stuck: dict[str, Outcome] = {}
        """The durably stuck ones."""
        self._letter_of: dict[str, str] = {}
        self._works: Works

    async def starting(self) -> None:
        """Have nothing under way yet."""
        self._works = Works(self.ctx, self._steps, self._fences)

    # Decisions

    def decide(
        self, states: States, command: Message, ctx: OwnerContext
    ) -> OwnerDecision:
        """Decide about one transaction, or about all after a restart."""
        match command:
            case Report():
                self._works.ended(command.work)
                return self._reported(states, command, ctx)
            case TookTooLong():
                report = self._works.overdue(command.work)
                return self._reported(states, report, ctx)
            case Begin():
                known = self._keys.get(command.key)
                if known is not None:
                    return OwnerDecision(reply=known)
                return self._desk.begun(states, command, ctx)
            case RecoverAll():
                for stream in states:  # each in its owner's name
                    ctx.self.tell(Report(stream, Recovered()))
                return OwnerDecision()
            case _:
                stream = _about(command)
                running = self._works.running(stream)
                return self._desk.wished(states, command, running, ctx)

    def _reported(
        self, states: States, report: Report | None, ctx: OwnerContext
    ) -> OwnerDecision:
        state = states.get(report.stream) if report is not None else None
        if report is None or state is None:
            return OwnerDecision()
        return OwnerDecision(self._told(state, report.news, ctx))

    def _told(
        self, state: Transaction, news: AnyNews, ctx: OwnerContext
    ) -> tuple[Write, ...]:
        """Decide about news; if that comes to nothing, go on with what needs no event.

        For then there will be nothing to react to, and yet a step may have to be
        prepared or a timer to be set.
        """
        writes = self._desk.writes(state, [news], ctx)
        if not writes:
            self._pursue(state, ctx)
        return writes

    # Effects

    def react(self, stream: str, event: Event, ctx: OwnerContext) -> None:
        """Start what an event announces."""
        if isinstance(event, Parked):
            assert self._letters is not None
            self._letters.tell(Adopt(stream, (event,)))
        state = self.states.get(stream)
        if state is None:
            return
        match event:
            case StepStarted() | StepDoubted() | CompensationStarted():
                self._start(state, event)
            case RollbackStarted():
                self._works.cancel(stream)
            case Stuck():
                self._note_stuck(state, event.letter)
            case Retried() | StepSkipped():
                self._note_resolved(stream)
            case Committed() | RolledBack():
                self._end(state, ctx)
                return
            case _:
                pass
        self._pursue(state, ctx)

    def _start(
        self,
        state: Transaction,
        event: StepStarted | StepDoubted | CompensationStarted,
    ) -> None:
        """Start an attempt, unless later decisions have overtaken it."""
        number = event.step
        step = state.steps[number]
        if number in self._works.running(state.stream):
            return
        match event:
            case StepStarted():
                if (step.status, step.attempts) == ("started", event.attempt):
                    self._works.run(state, number)
            case StepDoubted():
                if step.status == "doubted":
                    self._works.query(state, number)
            case CompensationStarted():
                if (step.status, step.undos) == ("undoing", event.attempt):
                    self._works.compensate(state, number)
            case _:
                assert_never(event)

    def _pursue(self, state: Transaction, ctx: OwnerContext) -> None:
        """Prepare the steps whose turn it is, and wake up when time matters."""
        now_us = ctx.now_us
        running = self._works.running(state.stream)
        turn = ready(state, now_us)
        for number in turn:
            if number not in running:
                self._works.prepare(state, number)
        due = [
            step.retry_at_us
            for number, step in enumerate(state.steps)
            if step.retry_at_us is not None and number not in turn
        ]
        if state.phase == "forward" and not state.pivoted:
            due.append(state.deadline_us)
        if state.phase in {"forward", "back"} and due:
            after_s = max(0, min(due) - now_us) / 1e6 + SLACK_S
            message = Report(state.stream, Ticked())
            ctx.timers.once(state.stream, after_s, message)
        else:
            ctx.timers.cancel(state.stream)

    def _note_stuck(self, state: Transaction, letter: str) -> None:
        outcome = outcome_of(state)
        if outcome is None:
            return
        self._stuck[state.stream] = outcome
        self._letter_of[state.stream] = letter
        self._tell_the_end(outcome)

    def _note_resolved(self, stream: str) -> None:
        """Close the dead letter of a transaction that is not stuck any more.

        If it was redriven it is closed already, and its queue takes no notice.
        """
        self._stuck.pop(stream, None)
        letter = self._letter_of.pop(stream, "")
        if letter and self._letters is not None:
            reason = f"{stream} is not stuck any more"
            self._letters.tell(Resolve(Selection(entries=(letter,)), reason))

    def _end(self, state: Transaction, ctx: OwnerContext) -> None:
        self._note_resolved(state.stream)
        self._works.forget(state)
        self._works.tidy(state)
        ctx.timers.cancel(state.stream)
        outcome = outcome_of(state)
        assert outcome is not None
        self._tell_the_end(outcome)

    def _tell_the_end(self, outcome: Outcome) -> None:
        for later in self._waiting.pop(outcome.stream, ()):
            later.set(outcome)

    # Recovery

    def resume(self, states: States, ctx: OwnerContext) -> None:
        """Go on with what was under way, in a turn of its own."""
        for state in states.values():
            self._note_stuck(state, state.letter)
        if states:
            ctx.timers.once("recover", 0, RecoverAll())

    def changed(
        self, stream: str, before: Transaction | None, after: Transaction | None
    ) -> None:
        """Keep the idempotency keys of the open transactions."""
        if before is None and after is not None and after.key:
            self._keys[after.key] = stream
        elif before is not None and after is None:
            self._keys.pop(before.key, None)

    # Questions

    @handles
    def await_end(self, message: AwaitEnd) -> Outcome | None:
        """Answer once the transaction has ended or is stuck."""
        if message.stream not in self.states or message.stream in self._stuck:
            return self._stuck.get(message.stream)
        self._waiting.setdefault(message.stream, []).append(self.ctx.later())
        return None

    @handles
    def list_active(self, _message: ListActive) -> tuple[Summary, ...]:
        """List the open transactions."""
        oldest_first = sorted(self.states.values(), key=lambda state: state.began_us)
        return tuple(summary_of(state, self.ctx.now_us) for state in oldest_first)

    @handles
    def get(self, message: GetTransaction) -> Transaction | None:
        """Return an open transaction."""
        return self.states.get(message.stream)

    @handles
    def tidy_failed(self, message: TidyFailed) -> None:
        """Say so; what was kept is only a waste of room."""
        self.ctx.log.warning(
            "transaction.tidy_failed", stream=message.stream, error=message.error
        )


def _about(command: Message) -> str:
    """Return the stream of the transaction that somebody wants something of."""
    if isinstance(command, TakeBack):
        return command.item
    return command.stream if isinstance(command, RollBack | ResolveStuck) else ""
