"""Seals: events that say what the whole log was up to a position.

The digests chain the events of each stream. That a tail or a whole stream was
removed shows only by something that covers all positions: the root of a Merkle tree
over their digests. Kept outside of the log (printed, sent, signed), a seal proves
what the log was; inside of it, it proves no more than the owner of the file wants.
"""

from collections.abc import Iterable
from hashlib import sha256

from ..event import Event

STREAM = "log/seals"
"""The stream that seals are appended to."""


class Sealed(Event, tag="log.sealed", version=1):
    """The events from `first` to `last` have digests with this root."""

    first: int
    """The position after the last one that an earlier seal covers; 1: the first seal."""
    last: int
    root: str
    """The root of the Merkle tree over their digests, in lower-case hexadecimal."""

    @property
    def count(self) -> int:
        """How many positions are covered."""
        return self.last - self.first + 1


class MerkleTree:
    """The tree of RFC 6962 section 2.1 over digests, which come a few at a time.

    A leaf is SHA-256(0x00 || digest), a node SHA-256(0x01 || left || right). Only one
    hash per level is in memory.
    """

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: list[bytes | None] = []
        """The root of the last full subtree of 1, 2, 4, ... leaves, where one is open."""

    def add(self, digests: Iterable[bytes]) -> None:
        """Append leaves, and hash together what is complete, level by level."""
        nodes = [sha256(b"\0" + digest).digest() for digest in digests]
        level = 0
        while nodes:
            if level == len(self._levels):
                self._levels.append(None)
            left = self._levels[level]
            if left is not None:
                nodes.insert(0, left)
            self._levels[level] = nodes.pop() if len(nodes) % 2 else None
            pairs = zip(nodes[::2], nodes[1::2], strict=True)
            nodes = [sha256(b"\1" + left + right).digest() for left, right in pairs]
            level += 1

    @property
    def root(self) -> bytes:
        """The root over all leaves so far."""
        root: bytes | None = None
        for left in self._levels:
            if left is not None:
                root = left if root is None else _node(left, root)
        return sha256().digest() if root is None else root


def merkle_root(digests: Iterable[bytes]) -> bytes:
    """Return the root over digests in their order."""
    tree = MerkleTree()
    tree.add(digests)
    return tree.root


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


EVENTS: tuple[type[Event], ...] = (Sealed,)
