"""SQL statements over many rows at once.

Every step of a statement releases and takes the interpreter's lock, and taking it
from a busy event loop can cost milliseconds. So the writer takes few steps: many rows
are written, and many names looked up, in one.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

_MANY, _FEW = 256, 128
"""Up to `_FEW` rows are one statement, more are split into statements of these sizes.

So an ordinary group takes one or two steps, and all statements stay prepared.
"""


class InsertMany:
    """An insert whose rows are handed over in one flat list of parameters.

    `head` and `tail` stand around the rows, and each row is `row`, as in `(?,?)`.
    """

    def __init__(self, head: str, row: str, tail: str = "") -> None:
        self.columns = row.count("?")
        self._parts = head, row, tail
        self._sql: dict[int, str] = {}
        """The statements that were needed so far, by their number of rows."""

    def run(self, db: sqlite3.Connection, values: list[Any]) -> None:
        """Insert `len(values) / columns` rows in their order."""
        columns = self.columns
        rows, start = len(values) // columns, 0
        while rows:
            size = _MANY if rows >= _MANY else min(rows, _FEW)
            end = start + size * columns
            db.execute(self._sql.get(size) or self._of(size), values[start:end])
            rows -= size
            start = end

    def _of(self, size: int) -> str:
        head, row, tail = self._parts
        sql = self._sql[size] = f"{head} VALUES {','.join([row] * size)} {tail}"
        return sql


class SelectMany:
    """A select by many keys: `head` ends where the list of keys is to stand.

    The list is filled up with NULLs to the next of a few sizes, so that all statements
    stay prepared; each NULL is looked for in vain, which costs half of what a key does.
    """

    _SIZES = tuple(1 << power for power in range(10))

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
