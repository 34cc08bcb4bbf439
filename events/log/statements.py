"""SQL statements over many rows at once.

Every step of a statement releases and takes the interpreter's lock, and taking it
from a busy event loop can cost milliseconds. So the writer takes few steps: many rows
are written, and many names looked up, in one.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

_MANY, _FEW = 256, 64
"""Up to `_FEW` rows are one statement, more are split into statements of these sizes.

So an ordinary group takes one or two steps, and all statements stay prepared.
"""


class InsertMany:
    """An insert whose rows are handed over in one flat list of parameters.

    `head` and `tail` stand around the rows, and each row is `row`, as in `(?,?)`.
    """

    def __init__(self, head: str, row: str, tail: str = "") -> None:
        self._columns = row.count("?")
        self._sql = {
            size: f"{head} VALUES {','.join([row] * size)} {tail}"
            for size in (*range(1, _FEW + 1), _MANY)
        }

    def run(self, db: sqlite3.Connection, values: list[Any]) -> None:
        """Insert `len(values) / columns` rows in their order."""
        columns = self._columns
        rows, start = len(values) // columns, 0
        while rows:
            size = _MANY if rows >= _MANY else min(rows, _FEW)
            end = start + size * columns
            db.execute(self._sql[size], values[start:end])
            rows -= size
            start = end


class SelectMany:
    """A select by many keys: `head` ends where the list of keys is to stand."""

    _SIZES = (1, 8, 64, 512)

    def __init__(self, head: str, columns: int = 1) -> None:
        row = f"({','.join('?' * columns)})"
        self._columns = columns
        self._sql = {
            size: f"{head} (VALUES {','.join([row] * size)})" for size in self._SIZES
        }

    def run(self, db: sqlite3.Connection, keys: Sequence[Any]) -> Iterator[Any]:
        """Yield the rows found for a flat list of keys."""
        most = self._SIZES[-1] * self._columns
        for start in range(0, len(keys), most):
            part = [*keys[start : start + most]]
            count = len(part) // self._columns
            size = next(size for size in self._SIZES if size >= count)
            part += [None] * (size * self._columns - len(part))
            yield from db.execute(self._sql[size], part).fetchall()
