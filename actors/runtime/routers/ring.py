"""Consistent hashing: a key stays with its bucket when others come and go."""

from bisect import bisect
from collections.abc import Iterable
from hashlib import blake2b

_POINTS = 64
"""Points per bucket; the busiest of ten then gets about a third more than its share."""


def _point(key: bytes) -> int:
    """Return where `key` lies on the ring, the same in every process."""
    return int.from_bytes(blake2b(key, digest_size=8).digest())


class Ring:
    """A hash ring over names; one name more or less moves only its own keys."""

    __slots__ = ("_names", "_points")

    def __init__(self, names: Iterable[str]) -> None:
        points = sorted(
            (_point(f"{name}#{i}".encode()), name)
            for name in dict.fromkeys(names)
            for i in range(_POINTS)
        )
        self._points = [point for point, _ in points]
        self._names = [name for _, name in points]

    def name_for(self, key: str | bytes | int) -> str:
        """Return the name that `key` belongs to."""
        return self._names[self._index(key)]

    def names_for(self, key: str | bytes | int) -> Iterable[str]:
        """Return all names: whose `key` is, whose it would be without that, ..."""
        first = self._index(key)
        return dict.fromkeys(self._names[first:] + self._names[:first])

    def _index(self, key: str | bytes | int) -> int:
        raw = key if isinstance(key, bytes) else str(key).encode()
        return bisect(self._points, _point(raw)) % len(self._names)
