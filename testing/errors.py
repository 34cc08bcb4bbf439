"""What the test kit refuses, and what it finds."""

from ..events import DramaturgError


class DeadlockError(DramaturgError):
    """Nothing is ready, no timer is due, and the main coroutine still waits."""

    def __init__(self, waiting: str) -> None:
        super().__init__(
            "nothing is ready and no timer will ever be due, so this waits for ever:\n"
            f"{waiting}",
        )


class StepLimitError(DramaturgError):
    """The main coroutine has not come to its end within the limit of steps."""

    def __init__(self, steps_max: int, now_s: float, waiting: str) -> None:
        super().__init__(
            f"not over after {steps_max} steps and {now_s:g} s of virtual time: "
            "something goes round and round, or steps_max is too low for it\n"
            f"{waiting}",
        )


class UnseededError(DramaturgError):
    """Something whose order no seed can decide was asked of a seeded loop."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} is not to be had in a seeded loop: its order would be another in "
            "every run. Use MemoryLog and things in memory here, and a real loop for "
            "tests of files, sockets, processes and threads",
        )


class ExpectationError(DramaturgError, AssertionError):
    """What was expected did not happen; the message shows what happened instead."""


class ImpureError(ExpectationError):
    """A decider or a fold did more than to look at what it was given."""
