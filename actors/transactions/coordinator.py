"""The coordinator as its callers know it: run a transaction and hear how it ended."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from ...events import Erased, UnknownEvent
from ...events.log import EventLog, KeyTakenError, LogUnavailableError, Recorded
from ..runtime import ActorFailedError, ActorStoppedError, ChildSpec, Origin, Ref
from .actor import CoordinatorActor
from .errors import TransactionNotFoundError
from .fence import Fences
from .limits import Limits
from .messages import (
    AwaitEnd,
    Begin,
    GetTransaction,
    ListActive,
    Outcome,
    ResolveStuck,
    RollBack,
    Summary,
    outcome_of,
)
from .news import Resolution
from .step import Do, Steps
from .transaction import FOLD
from .transaction import Transaction as State

ASKED_AGAIN_MAX: Final = 10
"""How many restarts of the actor one caller waits through."""


class Transaction(msgspec.Struct, frozen=True):
    """What is to happen wholly or not at all."""

    steps: Sequence[Do]
    key: str = ""
    """A second transaction with it is not begun; its caller hears of the first."""
    deadline_s: float = 300.0
    """Before the pivot, it turns back when this has passed."""
    name: str = ""
    owner: str = ""
    """Whose data it is; empty: whose the message is by which it is begun."""


class Coordinator:
    """Runs transactions, and shows and resolves those that are open.

    `ref` is its actor, which `spec` describes; `log` is the system's log. Several
    may be made for one actor.
    """

    def __init__(self, ref: Ref, steps: Steps, log: EventLog) -> None:
        self._ref = ref
        self._steps = steps
        self._log = log

    @staticmethod
    def spec(
        name: str,
        steps: Steps,
        limits: Limits | None = None,
        *,
        letters: Ref | None = None,
        queue: str = "",
    ) -> ChildSpec:
        """Describe the actor to a supervisor.

        `letters` is the actor of the dead letter queue `queue`, in which the stuck
        are parked; without it they are only stuck.
        """
        factory = partial(
            CoordinatorActor,
            name,
            steps,
            limits,
            letters=letters,
            queue=queue,
            fences=Fences(),
        )
        return ChildSpec(id=name, factory=factory)

    async def begin(self, transaction: Transaction) -> str:
        """Begin a transaction and return its stream once that is durable.

        Every step is checked first. With a key that was used before, nothing begins
        and the stream of that time is returned. Raises `TransactionRefusedError`
        and what the steps' own checks raise.
        """
        planned = await self._steps.plan(transaction.steps)
        command = Begin(
            steps=planned,
            deadline_s=transaction.deadline_s,
            name=transaction.name,
            key=transaction.key,
        )
        try:
            origin = Origin(owner=transaction.owner) if transaction.owner else None
            return await self._ref.ask(command, origin=origin)
        except KeyTakenError as error:
            return error.stream

    async def run(self, transaction: Transaction, wait_s: float = 7200.0) -> Outcome:
        """Begin a transaction and wait until it has ended or is stuck.

        A cancelled or timed-out caller does not end it: it goes on, and `wait` or
        a second `run` with the same key finds it. Raises as `begin` does, and
        `AskTimeoutError` after `wait_s`.
        """
        return await self.wait(await self.begin(transaction), wait_s)

    async def wait(self, stream: str, wait_s: float = 7200.0) -> Outcome:
        """Wait until a transaction has ended or is stuck, also through restarts.

        Raises `TransactionNotFoundError` for one that never began.
        """
        outcome: Outcome | None = None
        for again in range(1, ASKED_AGAIN_MAX + 1):
            try:
                outcome = await self._ref.ask(AwaitEnd(stream), timeout_s=wait_s)
                break
            except (ActorStoppedError, ActorFailedError, LogUnavailableError):
                if again == ASKED_AGAIN_MAX:
                    raise
        outcome = outcome or outcome_of(await self.state(stream))
        if outcome is None:
            raise TransactionNotFoundError(stream)
        return outcome

    async def state(self, stream: str) -> State:
        """Return the state of a transaction, open or ended, from the log."""
        state = FOLD.initial(stream)
        for recorded in await self.history(stream):
            event = recorded.event
            if isinstance(event, Erased) or not isinstance(event, UnknownEvent):
                state = FOLD.step(state, event)
        return state

    async def history(self, stream: str) -> list[Recorded]:
        """Return all that happened in a transaction."""
        return await self._log.read_stream(stream)

    async def active(self) -> tuple[Summary, ...]:
        """List the open transactions, the stuck ones among them."""
        return await self._ref.ask(ListActive())

    async def get(self, stream: str) -> State | None:
        """Return the state of an open transaction."""
        return await self._ref.ask(GetTransaction(stream))

    async def roll_back(
        self, stream: str, reason: str, *, dry_run: bool = False
    ) -> tuple[str, ...]:
        """Turn a transaction back; return which steps are taken back, in order.

        Raises `TransactionNotFoundError` and `TransactionRefusedError`.
        """
        return await self._ref.ask(RollBack(stream, reason, dry_run))

    async def resolve(self, stream: str, resolution: Resolution, reason: str) -> None:
        """Decide about a stuck transaction: try again, waive the step, declare the end.

        Raises `TransactionNotFoundError` and `TransactionRefusedError`.
        """
        await self._ref.ask(ResolveStuck(stream, resolution, reason))
