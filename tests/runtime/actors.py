"""The actors that the tests of the runtime speak to."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from dramaturg.actors.runtime import (
    Actor,
    ActorContext,
    Ask,
    ChildSpec,
    CommandRejectedError,
    Decision,
    EventSourced,
    Mailbox,
    Message,
    OwnerContext,
    OwnerDecision,
    StreamOwner,
    Write,
    handles,
)
from dramaturg.events import Event, Fold, Registry
from dramaturg.events.log import IdempotencyKey


class Add(Message):
    n: int = 1


class Get(Ask[int]):
    pass


class GetSlowly(Ask[int]):
    steps: int = 1


class Fail(Message):
    pass


class AskFail(Ask[int]):
    pass


class Counter(Actor):
    def __init__(self) -> None:
        self.count = 0
        self.release = asyncio.Event()

    @handles
    def add(self, message: Add) -> None:
        self.count += message.n

    @handles
    def get(self, message: Get) -> int:  # noqa: ARG002 - a handler takes its message
        return self.count

    @handles
    async def get_slowly(self, message: GetSlowly) -> int:
        for _ in range(message.steps):
            await asyncio.sleep(0)
        return self.count

    @handles
    def fail(self, message: Fail | AskFail) -> int:
        raise ValueError(type(message).__name__)


class Deposited(Event, tag="account.deposited"):
    amount: int


class Withdrawn(Event, tag="account.withdrawn"):
    amount: int


class Closed(Event, tag="account.closed", closes=True):
    pass


class Poisoned(Event, tag="account.poisoned"):
    """Its fold fails."""


class Measured(Event, tag="account.measured"):
    """Cannot be encoded when it is not a number."""

    ratio: float


REGISTRY = Registry([Deposited, Withdrawn, Closed, Poisoned, Measured])


class Account(msgspec.Struct, frozen=True):
    balance: int = 0
    events: int = 0


def evolve(state: Account, event: Event) -> Account:
    match event:
        case Deposited(amount):
            return Account(state.balance + amount, state.events + 1)
        case Withdrawn(amount):
            return Account(state.balance - amount, state.events + 1)
        case Poisoned():
            raise ZeroDivisionError
        case _:
            return Account(state.balance, state.events + 1)


FOLD = Fold(kind="account", state=Account, initial=lambda _: Account(), evolve=evolve)


class Deposit(Ask[int]):
    amount: int
    key: str = ""
    name: str = ""


class Withdraw(Ask[int]):
    amount: int
    name: str = ""


class Reopen(Ask[None]):
    """Write to a closed stream."""

    name: str
    expected: int


class Abroad(Ask[None]):
    """Write to a stream of somebody else."""

    stream: str
    expected: int


class Adopt(Ask[int]):
    name: str
    events: tuple[Event, ...]


class Release(Ask[int]):
    name: str


class Transfer(Ask[int]):
    amount: int
    source: str
    target: str


class Balance(Ask[int]):
    name: str = ""


class Record(Ask[None]):
    """Write these events."""

    events: tuple[Event, ...]
    name: str = ""


class Bank(EventSourced[Account]):
    """An account; it keeps what it has reacted to."""

    stream = "account/1"
    fold = FOLD

    def __init__(self, reactions: list[tuple[Event, Any]] | None = None) -> None:
        self.reactions = [] if reactions is None else reactions
        self.resumed: list[Account] = []

    def decide(
        self,
        state: Account,
        command: Message,
        ctx: ActorContext,  # noqa: ARG002 - part of the signature
    ) -> Decision:
        match command:
            case Deposit(amount, key):
                keys = (IdempotencyKey("deposit", key, self.stream),) if key else ()
                return Decision((Deposited(amount),), state.balance + amount, keys)
            case Withdraw(amount):
                if amount > state.balance:
                    message = f"{state.balance} is all there is"
                    raise CommandRejectedError(message)
                return Decision((Withdrawn(amount),), state.balance - amount)
            case Balance():
                return Decision(reply=state.balance)
            case Record(events):
                return Decision(events)
            case Fail():
                raise ValueError(state)
            case _:
                raise ValueError(command)

    def react(self, event: Event, ctx: ActorContext) -> None:
        self.reactions.append((event, ctx.cause))

    def resume(self, state: Account, ctx: ActorContext) -> None:  # noqa: ARG002
        self.resumed.append(state)


class Branch(StreamOwner[Account]):
    """Many accounts; it keeps their sum beside their states."""

    prefix = "account/"
    fold = FOLD

    def __init__(self) -> None:
        self.sum = 0
        self.reactions: list[tuple[str, Event]] = []
        self.resumed: list[str] = []

    def decide(  # noqa: PLR0911 - a table of commands
        self,
        states: Any,
        command: Message,
        ctx: OwnerContext,
    ) -> OwnerDecision:
        match command:
            case Deposit(amount, key, name):
                stream = self.prefix + name
                keys = (IdempotencyKey("deposit", key, stream),) if key else ()
                return OwnerDecision(
                    (Write(stream, (Deposited(amount),)),),
                    self.sum + amount,
                    keys,
                )
            case Balance():
                return OwnerDecision(reply=self.sum)
            case Record(events, name):
                return OwnerDecision((Write(self.prefix + name, events),))
            case Reopen(name, expected):
                stream = self.prefix + name
                return OwnerDecision((Write(stream, (Deposited(0),), expected),))
            case Abroad(stream, expected):
                return OwnerDecision((Write(stream, (Deposited(1),), expected),))
            case Adopt(name, events):
                ctx.adopt(self.prefix + name, events)
                return OwnerDecision(reply=self.sum)
            case Release(name):
                ctx.release(self.prefix + name)
                return OwnerDecision(reply=self.sum)
            case Transfer(amount, source, target):
                return OwnerDecision(
                    (
                        Write(self.prefix + source, (Withdrawn(amount),)),
                        Write(self.prefix + target, (Deposited(amount),)),
                    ),
                    self.sum,
                )
            case _:
                raise ValueError(command, states)

    def react(self, stream: str, event: Event, ctx: OwnerContext) -> None:  # noqa: ARG002
        self.reactions.append((stream, event))

    def resume(self, states: Any, ctx: OwnerContext) -> None:  # noqa: ARG002
        self.resumed = sorted(states)

    def changed(self, stream: str, before: Any, after: Any) -> None:  # noqa: ARG002
        self.sum -= before.balance if before is not None else 0
        self.sum += after.balance if after is not None else 0


def spec(
    name: str,
    factory: Callable[[], Actor],
    mailbox: Mailbox | None = None,
) -> ChildSpec:
    return ChildSpec(id=name, factory=factory, mailbox=mailbox or Mailbox())
