"""What a step is: an effect on some resource, and how it is taken back."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from ...events.transactions import InDoubt, PlannedStep
from .errors import TransactionRefusedError, UnknownStepError
from .fence import Fence
from .news import Answered

A = TypeVar("A", bound=msgspec.Struct)
U = TypeVar("U", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True, gc=False):
    """No arguments are needed."""


class Call(msgspec.Struct, frozen=True):
    """One attempt at a step or its compensation."""

    transaction: str
    """The stream of the transaction."""
    step: int
    attempt: int
    fence: Fence
    results: tuple[msgspec.Raw, ...] = ()
    """What the steps before gave; of this one too, where it is taken back."""

    @property
    def key(self) -> str:
        """The idempotency key: the same for every attempt and the compensation."""
        return f"{self.transaction}#{self.step}"


class Step(ABC, Generic[A, U]):
    """An effect that can be taken back. `A`: its arguments, `U`: its compensation's.

    Registered under its name with the coordinator, which rebuilds it by that name
    after a restart: what an attempt needs to know stands in its arguments. Every
    method may be called again after a crash with the same `call.key`, and a
    compensation also for an effect that never happened, which is no error.
    Failing is raising.
    """

    name: str
    arguments: type[A]
    undo: type[U]
    in_doubt: InDoubt = "compensate"
    """What follows a crash in the middle of the step."""
    timeout_s: float = 30.0
    attempts_max: int = 1

    async def check(self, args: A) -> None:
        """Raise if the step cannot succeed; asked before anything is written."""

    @abstractmethod
    async def prepare(self, args: A, call: Call) -> U:
        """Find out what taking the effect back will need, without any effect."""

    @abstractmethod
    async def run(self, args: A, undo: U, call: Call) -> msgspec.Raw:
        """Make the effect and return its result as JSON. Must heed the fence."""

    @abstractmethod
    async def compensate(self, args: A, undo: U, call: Call) -> None:
        """Take the effect back, whether or not it happened."""

    async def query(self, args: A, undo: U, call: Call) -> Answered:
        """Ask the resource whether the effect happened; for `in_doubt="query"`."""
        del args, undo
        return Answered(call.step, "unknown")

    async def tidy(self, args: A, undo: U, call: Call) -> None:
        """Remove what was kept for the way back; the transaction has ended."""


AnyStep = Step[Any, Any]


class Do(msgspec.Struct, frozen=True):
    """One step of a transaction that is asked for."""

    step: str
    """The name it is registered under."""
    args: msgspec.Struct
    group: int = 0
    """Neighbours of one group above 0 run side by side."""
    pivot: bool = False
    """Once it is done there is only forward."""
    in_doubt: InDoubt | None = None
    """None, here and below: as the step declares."""
    timeout_s: float | None = None
    attempts_max: int | None = None


class Steps(Mapping[str, AnyStep]):
    """The registered steps by name. Raises `UnknownStepError` for any other."""

    def __init__(self, steps: Iterable[AnyStep]) -> None:
        self._steps: dict[str, AnyStep] = {}
        for step in steps:
            if self._steps.setdefault(step.name, step) is not step:
                raise TransactionRefusedError(
                    f"two steps are called {step.name!r}: give each a name of its own"
                )

    def __getitem__(self, name: str) -> AnyStep:
        try:
            return self._steps[name]
        except KeyError:
            known = ", ".join(sorted(self._steps)) or "none"
            raise UnknownStepError(
                f"no step is registered as {name!r} (known: {known}): hand it to the "
                "coordinator when it is made"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    async def plan(self, wanted: Iterable[Do]) -> tuple[PlannedStep, ...]:
        """Check and plan the steps of a transaction; nothing is written yet."""
        planned: list[PlannedStep] = []
        for do in wanted:
            step = self[do.step]
            if not isinstance(do.args, step.arguments):
                raise TransactionRefusedError(
                    f"step {step.name!r} takes {step.arguments.__name__}, not "
                    f"{type(do.args).__name__}"
                )
            await step.check(do.args)
            planned.append(_planned(step, do))
        return tuple(planned)


def _planned(step: AnyStep, do: Do) -> PlannedStep:
    return PlannedStep(
        name=step.name,
        args=msgspec.Raw(msgspec.json.encode(do.args)),
        group=do.group,
        pivot=do.pivot,
        in_doubt=do.in_doubt or step.in_doubt,
        timeout_s=step.timeout_s if do.timeout_s is None else do.timeout_s,
        attempts_max=step.attempts_max if do.attempts_max is None else do.attempts_max,
    )
