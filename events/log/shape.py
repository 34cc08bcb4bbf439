"""Whether the tables of a file, and what hangs on them, are those that were made."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from typing import Any

import msgspec

from .tables import TRACKING, bring_up_to_date, tables_of

_OBJECTS = """
SELECT name, type, tbl_name, sql FROM sqlite_master
WHERE name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY rowid
"""  # what begins so is SQLite's own

Query = Callable[[str], list[Any]]


class Oddity(msgspec.Struct, frozen=True):
    """Something in a file's schema that is not as it was made."""

    message: str
    harmful: bool
    """Whether it would change what is written, or what is kept of it."""


def oddities(query: Query, format_: int) -> Iterator[Oddity]:
    """Yield what is other in a file's schema than in one of this format."""
    known = _shapes(format_)
    found: set[str] = set()
    for name, kind, table, sql in query(_OBJECTS):
        text = _normal(sql)
        if (kind, table, text) in known.get(name, ()):
            found.add(name)
        elif name in known:
            found.add(name)
            message = f"{kind} {name!r} is defined otherwise than it was: {text}"
            yield Oddity(message, not name.startswith(_INDEXES))
        else:
            unique = text.upper().startswith("CREATE UNIQUE")
            message = f"{kind} {name!r} on {table!r} is none of a log's"
            yield Oddity(message, kind == "trigger" or unique)
    for name in known.keys() - found - {"tracking"}:
        yield Oddity(f"{name!r} is missing", not name.startswith(_INDEXES))
    ((version,),) = query("PRAGMA user_version")
    if version:
        yield Oddity(f"its user_version is {version}", harmful=False)


_INDEXES = "streams_open", "keys_expires"


@cache
def _shapes(format_: int) -> dict[str, set[tuple[str, str, str]]]:
    """Return what each object may be defined as: it tells in which format it began."""
    tracking = _normal(TRACKING.replace("IF NOT EXISTS ", ""))
    shapes = {"tracking": {("table", "tracking", tracking)}}
    for began in range(1, format_ + 1):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
            for statement in tables_of(began):
                db.execute(statement)
            db.execute(
                "INSERT INTO meta(id, format, next_position, committed, epoch) "
                "VALUES (1, ?, 1, 0, 0)",
                (began,),
            )
            bring_up_to_date(db, format_)
            for name, kind, table, sql in db.execute(_OBJECTS):
                shapes.setdefault(name, set()).add((kind, table, _normal(sql)))
    return shapes


def _normal(sql: object) -> str:
    return " ".join(str(sql).split())
