"""What is used by `with` and closed at its end."""

from abc import abstractmethod
from types import TracebackType
from typing import Self


class Closing:
    """Closes itself when its `with` block ends, however it ends."""

    __slots__ = ()

    def __enter__(self) -> Self:
        """Return it, open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Give back what it holds; harmless once it is closed."""
