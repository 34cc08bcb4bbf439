"""Who may write what: names of streams, and prefixes of them, claimed by live nodes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .connection import Connection

# A node that was stopped in the middle of a group holds the lock that all others wait
# for, perhaps where the server does not count it as idle. One that is between two
# groups is left alone, for deleting its row is enough. No node does this to itself: one
# that comes late is as good as ever until another has noticed.
_TERMINATE = """
SELECT pg_terminate_backend(a.pid) FROM nodes n
JOIN pg_stat_activity a ON a.pid = n.pid AND a.backend_start = n.started
WHERE n.expires <= clock_timestamp() AND a.state <> 'idle' AND n.epoch <> %s
"""
# Who is just committing is waited for by nobody: it is asked for again.
_FENCE = """
DELETE FROM nodes WHERE epoch IN (
    SELECT epoch FROM nodes WHERE expires <= clock_timestamp() AND epoch <> %s
    FOR UPDATE SKIP LOCKED)
"""
# A stream and a prefix above it cannot be owned by two.
_TAKE = """
INSERT INTO claims SELECT wanted, %(epoch)s FROM unnest(%(names)s::text[]) AS wanted
WHERE EXISTS (SELECT 1 FROM nodes WHERE epoch = %(epoch)s) AND NOT EXISTS (
    SELECT 1 FROM claims c WHERE c.epoch <> %(epoch)s AND (c.name = wanted
        OR (right(c.name, 1) = '/' AND starts_with(wanted, c.name))
        OR (right(wanted, 1) = '/' AND starts_with(c.name, wanted))))
ON CONFLICT (name) DO NOTHING
"""
_TAKEN = "SELECT name FROM claims WHERE epoch = %s AND name = ANY(%s)"
_RELEASE = "DELETE FROM claims WHERE epoch = %s AND name = ANY(%s)"
_LIVING = """
SELECT node, epoch FROM nodes WHERE epoch <> %s AND expires > clock_timestamp()
ORDER BY epoch
"""
_ALIVE = "SELECT 1 FROM nodes WHERE epoch = %s"


class Taken(NamedTuple):
    """What a node has of that which it wanted."""

    names: Sequence[str]
    alive: bool
    """Whether the node's epoch has not been fenced."""


def take(
    db: Connection,
    channel: str,
    epoch: int,
    names: Sequence[str],
    released: Sequence[str] = (),
) -> Taken:
    """Give names up, and claim others as far as no other live node owns them.

    Other nodes whose leases are over are fenced first: once their rows are gone they
    can commit nothing more. Blocking. Raises `psycopg.Error`.
    """
    terminate_overdue(db, epoch)
    with db.transaction():
        # One after the other, for claims of a stream and of its prefix would not meet.
        db.execute("SELECT pg_advisory_xact_lock(hashtext(%s), 1)", (channel,))
        if released:
            db.execute(_RELEASE, (epoch, [*released]))
            db.execute("SELECT pg_notify(%s, %s)", (channel, freed(epoch)))
        db.execute(_FENCE, (epoch,))
        db.execute(_TAKE, {"epoch": epoch, "names": [*names]})
        rows: Any = db.execute(_TAKEN, (epoch, [*names])).fetchall()
        alive = db.execute(_ALIVE, (epoch,)).fetchone()
    return Taken([name for (name,) in rows], alive is not None)


def living(db: Connection, epoch: int) -> list[str]:
    """Return the other nodes whose leases are not over. Raises `psycopg.Error`."""
    rows: Any = db.execute(_LIVING, (epoch,)).fetchall()
    return [node or f"of epoch {other}" for node, other in rows]


def terminate_overdue(db: Connection, epoch: int) -> None:
    """End the transactions of nodes whose leases are over, but for one epoch's own."""
    db.execute(_TERMINATE, (epoch,))


def freed(epoch: int) -> str:
    """Return the notice that an epoch has given something up."""
    return f"{epoch}:"
