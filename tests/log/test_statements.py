"""One statement over many rows, whatever their number."""

import sqlite3

import pytest

from dramaturg.events.log.statements import InsertMany, SelectMany


@pytest.mark.parametrize("count", [0, 1, 16, 17, 64, 100, 256, 257, 600, 1025])
def test_many_rows_are_inserted_in_order_and_found(count: int) -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)")
    InsertMany("INSERT INTO t(a, b)", "(?,?)").run(
        db, [value for n in range(count) for value in (n, str(n))]
    )
    found = SelectMany("SELECT a FROM t WHERE a IN").run(db, [*range(0, count, 2)])
    pairs = SelectMany("SELECT a FROM t WHERE (a, b) IN", 2).run(
        db, [value for n in range(count) for value in (n, str(n % 3))]
    )

    assert db.execute("SELECT b FROM t").fetchall() == [(str(n),) for n in range(count)]
    assert sorted(found) == [(n,) for n in range(0, count, 2)]
    assert sorted(pairs) == [(n,) for n in range(min(count, 3))]
    db.close()
