"""What is said to a coordinator, and what it answers."""

from typing import Literal

import msgspec

from ...events.transactions import PlannedStep
from ..runtime import Ask, Message
from .errors import TransactionFailedError
from .news import AnyNews, Resolution
from .transaction import Phase, Transaction

End = Literal["committed", "rolled_back", "stuck"]


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How a transaction ended, or that it is stuck."""

    stream: str
    end: End
    results: tuple[msgspec.Raw, ...] = ()
    """What the steps gave, as JSON; meaningful when it is committed."""
    reason: str = ""
    """Why it turned back or what it is stuck on."""

    @property
    def committed(self) -> bool:
        """Whether all steps are done."""
        return self.end == "committed"

    def require_committed(self) -> None:
        """Raise `TransactionFailedError` unless all steps are done."""
        if not self.committed:
            raise TransactionFailedError(
                f"{self.stream} is {self.end.replace('_', ' ')}: {self.reason}"
            )


def outcome_of(state: Transaction) -> Outcome | None:
    """Return how a transaction ended, None if it is still under way."""
    results = tuple(step.result for step in state.steps)
    match state.phase:
        case "committed" | "rolled_back":
            return Outcome(state.stream, state.phase, results, state.reason)
        case "stuck":
            assert state.stuck_step is not None
            step = state.steps[state.stuck_step]
            reason = f"step {state.stuck_step} {step.plan.name}: {step.message}"
            return Outcome(state.stream, "stuck", results, reason)
        case _:
            return None


class Begin(Ask[str]):
    """Begin a transaction; answers its stream, the same again for the same key.

    The asker gets `KeyTakenError`, with the stream, for the key of an ended one.
    """

    steps: tuple[PlannedStep, ...]
    deadline_s: float
    name: str = ""
    key: str = ""


class AwaitEnd(Ask[Outcome | None]):
    """Wait until a transaction has ended or is stuck; None: it is not open."""

    stream: str


class Report(Message):
    """News about a transaction: the coordinator's own message to itself."""

    stream: str
    news: AnyNews
    work: int = 0
    """Which piece of work it is the outcome of; 0: of none."""


class TookTooLong(Message):
    """A piece of work is over its time."""

    work: int


class TidyFailed(Message):
    """What was kept for the way back could not be removed."""

    stream: str
    error: str


class RecoverAll(Message):
    """Go on with everything that was recovered."""


class RollBack(Ask[tuple[str, ...]]):
    """Turn a transaction back; answers the steps to be taken back, in that order."""

    stream: str
    reason: str
    dry_run: bool = False


class ResolveStuck(Ask[bool]):
    """Decide about a stuck transaction."""

    stream: str
    resolution: Resolution
    reason: str


class Summary(msgspec.Struct, frozen=True, gc=False):
    """An open transaction in a line."""

    stream: str
    name: str
    phase: Phase
    done: int
    """Steps that are done."""
    steps: int
    age_s: float
    reason: str = ""


def summary_of(state: Transaction, now_us: int) -> Summary:
    """Return an open transaction in a line."""
    return Summary(
        stream=state.stream,
        name=state.name,
        phase=state.phase,
        done=sum(step.status == "done" for step in state.steps),
        steps=len(state.steps),
        age_s=(now_us - state.began_us) / 1e6,
        reason=state.reason,
    )


class ListActive(Ask[tuple[Summary, ...]]):
    """List the open transactions, the oldest first."""


class GetTransaction(Ask[Transaction | None]):
    """Return the state of an open transaction."""

    stream: str
