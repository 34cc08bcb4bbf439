"""What a coordinator answers to commands: decisions as writes, without any effect."""

from collections.abc import Mapping, Sequence

import msgspec

from ...events import Event
from ...events.dead_letters import Parked, Returned
from ...events.log import IdempotencyKey
from ...events.transactions import Began, Stuck
from ..dead_letters.messages import TakeBack
from ..dead_letters.parking import park
from ..runtime import Message, OwnerContext, OwnerDecision, Write
from .deciding import begin, decide
from .errors import TransactionNotFoundError, TransactionRefusedError
from .limits import Limits
from .messages import Begin, ResolveStuck, RollBack
from .moves import Setting
from .news import AnyNews, Recovered, ResolutionWanted, RollbackWanted
from .transaction import FOLD, Transaction, evolve

States = Mapping[str, Transaction]


class Desk(msgspec.Struct, frozen=True):
    """The configuration of a coordinator, and what follows from it."""

    name: str
    limits: Limits
    queue: str = ""
    """The dead letter queue for the stuck; empty: none."""

    @property
    def prefix(self) -> str:
        """How the streams of its transactions begin."""
        return f"transaction/{self.name}/"

    def begun(self, states: States, command: Begin, ctx: OwnerContext) -> OwnerDecision:
        """Begin a transaction. Raises `TransactionRefusedError`."""
        if len(states) >= self.limits.active_max:
            raise TransactionRefusedError(
                f"{len(states)} transactions of {self.name!r} are open, which is the "
                "limit: wait for some to end, resolve stuck ones or raise `active_max`"
            )
        now_us = ctx.now_us
        stream = f"{self.prefix}{now_us:014x}{ctx.random.getrandbits(32):08x}"
        event = Began(
            steps=command.steps,
            deadline_us=now_us + round(command.deadline_s * 1_000_000),
            at_us=now_us,
            name=command.name,
            key=command.key,
        )
        events = begin(FOLD.initial(stream), event, self.limits)
        keys: tuple[IdempotencyKey, ...] = ()
        if command.key:
            keys = (IdempotencyKey(self.prefix, command.key, stream),)
        return OwnerDecision((Write(stream, events),), stream, keys)

    def wished(
        self,
        states: States,
        command: Message,
        running: frozenset[int],
        ctx: OwnerContext,
    ) -> OwnerDecision:
        """Do what a person or a dead letter queue asks, if the state allows it.

        `running` are the steps of the transaction that are under way.
        """
        match command:
            case RollBack():
                return self._rolled_back(_open(states, command.stream), command, ctx)
            case ResolveStuck():
                state = _open(states, command.stream)
                wish = ResolutionWanted(command.resolution, command.reason)
                writes = self.writes(state, [wish, Recovered(running)], ctx)
                return OwnerDecision(writes, reply=True)
            case TakeBack():
                return self._taken_back(states, command, running, ctx)
            case _:
                raise TransactionRefusedError(
                    f"a coordinator has no use for {type(command).__name__}"
                )

    def _rolled_back(
        self, state: Transaction, command: RollBack, ctx: OwnerContext
    ) -> OwnerDecision:
        writes = self.writes(state, [RollbackWanted(command.reason)], ctx)
        steps = tuple(
            f"{number} {step.plan.name}"
            for number, step in reversed(list(enumerate(state.steps)))
            if step.attempts > 0
        )
        return OwnerDecision(() if command.dry_run else writes, steps)

    def _taken_back(
        self,
        states: States,
        command: TakeBack,
        running: frozenset[int],
        ctx: OwnerContext,
    ) -> OwnerDecision:
        """Try again what a dead letter stands for, and close that with it."""
        state = states.get(command.item)
        if state is None or state.letter != command.entry:
            return OwnerDecision(reply=False)
        wish = ResolutionWanted("retry", f"redriven from {command.entry}")
        writes = self.writes(state, [wish, Recovered(running)], ctx)
        returned = (Returned(at_us=ctx.now_us),)
        back = Write(command.entry, returned, expected=command.version)
        return OwnerDecision((*writes, back), reply=True)

    def writes(
        self, state: Transaction, news: Sequence[AnyNews], ctx: OwnerContext
    ) -> tuple[Write, ...]:
        """Decide about news one after the other; the stuck get a dead letter."""
        setting = Setting(
            now_us=ctx.now_us,
            draw=ctx.random.random(),
            limits=self.limits,
            queue=self.queue,
        )
        decided: list[Event] = []
        letters: list[Write] = []
        for one in news:
            for event in decide(state, one, setting):
                state = evolve(state, event)
                decided.append(event)
                if isinstance(event, Stuck) and event.letter:
                    parked = (self._parked(state, event),)
                    letters.append(Write(event.letter, parked, expected=0))
        if not decided:
            return ()
        return (Write(state.stream, tuple(decided)), *letters)

    def _parked(self, state: Transaction, event: Stuck) -> Parked:
        step = state.steps[event.step]
        return park(
            item=state.stream,
            item_version=state.version,
            pipeline=self.name,
            stage=step.plan.name,
            error=event.error,
            message=event.message,
            at_us=event.at_us,
            attempts=step.undos if event.direction == "back" else step.attempts,
            strategy="manual",
        )


def _open(states: States, stream: str) -> Transaction:
    state = states.get(stream)
    if state is None:
        raise TransactionNotFoundError(stream)
    return state
