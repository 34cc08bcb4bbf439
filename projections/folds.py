"""Which fold turns the events of which kind of stream into a state."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..actors.breakers.state import FOLD as BREAKERS
from ..actors.chronicle.state import FOLD as SYSTEMS
from ..actors.dead_letters.entry import FOLD as DEAD_LETTERS
from ..actors.pipelines.control import FOLD as PIPELINES
from ..actors.pipelines.item import FOLD as ITEMS
from ..actors.transactions.transaction import FOLD as TRANSACTIONS
from ..events import Fold
from .errors import NoFoldError, ProjectionError


class FoldTakenError(ProjectionError):
    """Two folds claim one kind of stream."""


class Folds(Mapping[str, Fold[Any]]):
    """A table from kind of stream to its fold; kinds do not know of each other.

    Raises `FoldTakenError` when two different folds are for one kind.
    """

    def __init__(self, folds: Iterable[Fold[Any]]) -> None:
        self._folds: dict[str, Fold[Any]] = {}
        for fold in folds:
            if self._folds.setdefault(fold.kind, fold) is not fold:
                raise FoldTakenError(
                    f"there are two folds for streams {fold.kind!r}: leave one out",
                )

    def __getitem__(self, kind: str) -> Fold[Any]:
        """Return the fold for a kind. Raises `KeyError`."""
        return self._folds[kind]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the kinds."""
        return iter(self._folds)

    def __len__(self) -> int:
        """Count the kinds."""
        return len(self._folds)

    def for_stream(self, stream: str) -> Fold[Any]:
        """Return the fold for a stream. Raises `NoFoldError`."""
        kind = kind_of(stream)
        if kind not in self._folds:
            raise NoFoldError(kind, self._folds)
        return self._folds[kind]


def kind_of(stream: str) -> str:
    """Return the kind of a stream: its name up to the first slash."""
    return stream.partition("/")[0]


def standard_folds() -> tuple[Fold[Any], ...]:
    """Return the folds by which dramaturg's own actors live."""
    return BREAKERS, DEAD_LETTERS, ITEMS, PIPELINES, SYSTEMS, TRANSACTIONS
