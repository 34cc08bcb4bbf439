"""The error of whoever asks a registry for what nobody opened."""

from typing import ClassVar

from ..events import DramaturgError


class NotOpenError(DramaturgError, KeyError):
    """Nothing of this name is open; each registry has a class of its own for it."""

    kind: ClassVar[str]
    """What the registry holds."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name)
        self._known = known

    def __str__(self) -> str:
        """Name those that there are."""
        known = ", ".join(self._known) or "none"
        return (
            f"there is no {self.kind} {self.args[0]!r}; open it first (open: {known})"
        )
