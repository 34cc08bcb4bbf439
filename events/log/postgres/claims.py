"""Who may write what: names of streams, and prefixes of them, claimed by live nodes."""

import psycopg

from ..errors import LogUnavailableError
from .errors import OwnershipLostError
from .schema import connect

_INSERT = """
INSERT INTO claims SELECT %s, epoch FROM nodes WHERE epoch = %s AND expires > now()
ON CONFLICT (name) DO NOTHING
"""


def take(conninfo: str, schema: str, name: str, epoch: int) -> bool:
    """Claim a name for an epoch; return whether it is claimed by it now.

    Nodes whose leases are over are fenced first: once their rows are gone they can
    commit nothing more. Blocking. Raises `OwnershipLostError`, `LogUnavailableError`.
    """
    try:
        with connect(conninfo, schema) as db:
            db.execute("DELETE FROM nodes WHERE expires <= now()")
            db.execute(_INSERT, (name, epoch))
            owner = db.execute(
                "SELECT epoch FROM claims WHERE name = %s", (name,)
            ).fetchone()
            alive = db.execute(
                "SELECT 1 FROM nodes WHERE epoch = %s", (epoch,)
            ).fetchone()
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        raise LogUnavailableError(
            f"{name!r} cannot be claimed: {said}; look after the server",
        ) from error
    if alive is None:
        raise OwnershipLostError(str(epoch))
    return owner == (epoch,)
