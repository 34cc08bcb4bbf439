"""`dramaturg actors`: the tree of actors, how busy they are, and what failed."""

import errno
import os
from pathlib import Path

from msgspec.structs import asdict

from ...actors.chronicle import SystemState
from ...projections import ActorView, Timeline, actor_views, systems
from ..layout import open_log
from ..options import At, Data, Json, position_at
from ..output import Output, moment

COLUMNS = (
    "actor",
    "kind",
    "state",
    "mailbox",
    "dropped",
    "handled",
    "per s",
    "restarts",
    "last failure",
)


def actors(*, at: At = None, data: Data = Path("var"), as_json: Json = False) -> int:
    """Show the actors of a running system, or of one that ran, as of any position.

    How busy they are is as of the last census, which the title dates; failures and
    restarts are in the log as soon as they happen.
    """
    output = Output(as_json=as_json)
    with open_log(data) as reader:
        position = position_at(at, Timeline(reader, ()))
        found = systems(reader, at=position)
    if not found:
        output.line("no system has written of its actors into this log")
    for system in found:
        views = actor_views(system)
        rows = (asdict(each) if as_json else _row(each) for each in views)
        title = _title(system, now=position is None)
        output.rows(COLUMNS, rows, title=title)
    return 0


def _row(actor: ActorView) -> dict[str, object]:
    name = actor.path.rpartition("/")[2] or "/"
    return {
        "actor": "  " * actor.level + name,
        "kind": actor.kind,
        "state": actor.state,
        "mailbox": f"{actor.depth}/{actor.capacity}",
        "dropped": actor.dropped or None,
        "handled": actor.handled,
        "per s": f"{actor.rate_per_s:.1f}" if actor.rate_per_s else None,
        "restarts": actor.restarts or None,
        "last failure": f"{moment(actor.failed_us)} {actor.failure}"
        if actor.failure
        else None,
    }


def _title(system: SystemState, *, now: bool) -> str:
    """Say what became of a system, and of when its figures are."""
    how = f"runs as process {system.pid}" if system.running else "has stopped"
    if now and system.running and not _lives(system.pid):
        how = f"was killed as process {system.pid}"
    parts = [f"system {system.name} {how}"]
    if system.counted_us:
        parts.append(f"last census at {moment(system.counted_us)}")
    if system.omitted:
        parts.append(f"at least {system.omitted} more actors")
    if system.untold:
        parts.append(f"{system.untold} more failures and restarts")
    return ", ".join(parts)


def _lives(pid: int) -> bool:
    """Tell whether there is such a process here; another one may have its number."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno != errno.ESRCH  # or it is somebody else's
    return True
