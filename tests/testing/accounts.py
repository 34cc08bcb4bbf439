"""Accounts that decide, for tests of given, when, then."""

from collections.abc import Mapping

import msgspec

from dramaturg.actors.runtime import (
    ActorContext,
    Ask,
    CommandRejectedError,
    Decision,
    EventSourced,
    Message,
    OwnerContext,
    OwnerDecision,
    StreamOwner,
    Write,
    handles,
)
from dramaturg.events import Event, Fold
from dramaturg.events.log import IdempotencyKey


class Deposited(Event, tag="kit.deposited"):
    amount: int
    note: str = ""


class Withdrawn(Event, tag="kit.withdrawn"):
    amount: int


class Closed(Event, tag="kit.closed", closes=True):
    pass


class Unheard(Event, tag="kit.unheard"):
    """Its fold fails."""


class Account(msgspec.Struct, frozen=True):
    balance: int = 0


def evolve(state: Account, event: Event) -> Account:
    match event:
        case Deposited(amount):
            return Account(state.balance + amount)
        case Withdrawn(amount):
            return Account(state.balance - amount)
        case Unheard():
            raise LookupError(event)
        case _:
            return state


FOLD = Fold("kit", Account, initial=lambda _: Account(), evolve=evolve)


class Deposit(Ask[int]):
    amount: int
    key: str = ""
    name: str = ""


class Withdraw(Ask[int]):
    amount: int


class Close(Ask[int]):
    name: str = ""


class Look(Ask[int]):
    pass


class Borrow(Message):
    """Take what chance and time give."""


class Act(Message):
    """Do what a decider may not."""


class Adopt(Message):
    stream: str
    events: tuple[Event, ...]


class Release(Message):
    stream: str


class OverdrawnError(CommandRejectedError):
    pass


class Bank(EventSourced[Account]):
    stream = "kit/1"
    fold = FOLD

    def decide(self, state: Account, command: Message, ctx: ActorContext) -> Decision:
        match command:
            case Deposit(amount, key):
                keys = (IdempotencyKey("deposit", key, self.stream),) if key else ()
                return Decision((Deposited(amount),), state.balance + amount, keys)
            case Withdraw(amount):
                if amount > state.balance:
                    message = f"{state.balance} is all there is"
                    raise OverdrawnError(message)
                return Decision((Withdrawn(amount),), state.balance - amount)
            case Borrow():
                amount = ctx.random.randrange(100) + ctx.now_us + int(ctx.now_s)
                return Decision((Deposited(amount, ctx.by + ctx.corr),))
            case Act():
                ctx.self.tell(command)
                return Decision()
            case _:
                raise ValueError(command)

    @handles
    def look(self, message: Look) -> int:  # noqa: ARG002 - a handler takes it
        return self.state.balance


class Branch(StreamOwner[Account]):
    prefix = "kit/"
    fold = FOLD

    def __init__(self) -> None:
        self.sum = 0

    def decide(
        self, states: Mapping[str, Account], command: Message, ctx: OwnerContext
    ) -> OwnerDecision:
        match command:
            case Deposit(amount, _, name):
                if not name:
                    raise CommandRejectedError("an account has a name")
                write = Write(self.prefix + name, (Deposited(amount),))
                return OwnerDecision((write,), self.sum + amount)
            case Close(name):
                stream = self.prefix + name
                version = self.version(stream)
                return OwnerDecision((Write(stream, (Closed(),)),), version)
            case Adopt(stream, events):
                ctx.adopt(stream, events)
                return OwnerDecision(reply=states[stream].balance)
            case Release(stream):
                ctx.release(stream)
                return OwnerDecision(reply=stream in states)
            case _:
                raise ValueError(command)

    def changed(
        self, stream: str, before: Account | None, after: Account | None
    ) -> None:
        del stream
        self.sum += (after or Account()).balance - (before or Account()).balance
