"""What is found when a promise of the design is not kept."""

from typing import Any

Data = dict[str, Any]
"""The data of an event, as JSON has it."""


class BrokenPromiseError(AssertionError):
    """A promise of DESIGN.md, section 1, was not kept; `number` says which."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"promise {number} is broken: {what}")
        self.number = number


def holds(condition: object, number: int, *what: object) -> None:
    """Raise `BrokenPromiseError` unless the condition holds.

    What is said then is put into words then: most conditions hold.
    """
    if not condition:
        raise BrokenPromiseError(number, ": ".join(map(str, what)))


class Row:
    """One durable event, as the file has it: the checkers know nothing of its class."""

    __slots__ = ("committed", "data", "position", "stream", "tag", "version")

    def __init__(  # noqa: PLR0913, PLR0917 - a row
        self,
        position: int,
        stream: str,
        version: int,
        tag: str,
        data: Data,
        committed: int,
    ) -> None:
        self.position = position
        self.stream = stream
        self.version = version
        self.tag = tag
        self.data = data
        self.committed = committed

    def __str__(self) -> str:
        return f"{self.position} {self.stream}@{self.version} {self.tag} {self.data}"
