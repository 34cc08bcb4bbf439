"""Whether the seals of a log, and those kept elsewhere, fit its events."""

from collections.abc import Iterator

import msgspec

from .document import split
from .errors import MALFORMED, LogDamagedError
from .integrity import ChainedRow, Damage
from .seal import MerkleTree, Sealed
from .store import Store

PAGE = 1000
"""Digests read at a time."""


class SealCheck:
    """Checks seals in the order of their positions."""

    def __init__(self, stored: Store) -> None:
        self._stored = stored
        self._sealed = self._position = 0
        """How far the last seal goes, and where it stands."""
        self._roots: set[str] = set()
        self.seals = 0

    def check(self, row: ChainedRow) -> Iterator[Damage]:
        """Yield what is wrong with an event `log.sealed`."""
        self.seals += 1
        try:
            seal = msgspec.json.decode(split(row.document)[1], type=Sealed)
        except (LogDamagedError, *MALFORMED) as error:
            yield Damage("seal", row.position, row.stream, f"no seal: {error}")
            return
        if (
            seal.first != self._sealed + 1
            or not self._sealed < seal.last < row.position
            or seal.last < self._position
        ):
            message = (
                f"it covers {seal.first} to {seal.last}; the seal before it ended at "
                f"{self._sealed} and stands at {self._position}"
            )
            yield Damage("seal", row.position, row.stream, message)
        self._sealed, self._position = seal.last, row.position
        self._roots.add(seal.root)
        yield from self._root(seal, row.position)

    def anchored(self, anchor: Sealed | str, end: int) -> Iterator[Damage]:
        """Yield whether a seal, or a root, that was kept elsewhere does not fit."""
        if isinstance(anchor, Sealed):
            yield from self._root(anchor, min(anchor.last, end) + 1)
        elif anchor not in self._roots:
            message = f"no seal in the log has the root {anchor}"
            yield Damage("seal", end + 1, "", message)

    def _root(self, seal: Sealed, position: int) -> Iterator[Damage]:
        tree, after = MerkleTree(), seal.first - 1
        try:
            while page := self._stored.digests(after, seal.last, PAGE):
                tree.add(d if isinstance(d, bytes) else b"" for _, d in page)
                if page[-1][0] <= after:
                    break
                after = page[-1][0]
        except LogDamagedError as error:
            yield Damage("seal", position, "", f"what it covers is unreadable: {error}")
            return
        if tree.root.hex() != seal.root:
            message = (
                f"events {seal.first} to {seal.last} are not those that were sealed"
            )
            yield Damage("seal", position, "", message)
