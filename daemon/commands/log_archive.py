"""`dramaturg log archive`: old events into compressed segments."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import Parameter

from ...events import vocabulary
from ...events.log.archive.archiving import Archiving, archive_log, would_archive
from ...events.log.sqlite import SqliteLog
from ..database import Database
from ..errors import UsageError
from ..layout import found_keys, found_log, opened
from ..options import Data, Json, Where
from ..output import Output

if TYPE_CHECKING:
    from ...events.log.postgres import PostgresLog

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
MAX_S = 9e9
"""285 years: the integers of a log go no further."""


def archive(
    *,
    older_than: Annotated[
        str, Parameter(help="How long ago streams must have ended, such as 30d or 12h.")
    ],
    dry_run: Annotated[
        bool, Parameter(help="Only say what would be archived.")
    ] = False,
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Move the events of ended streams to compressed segments: files beside the log.

    They are read, shown, exported and verified as before. Of open streams goes what a
    snapshot stands for. Nobody else may write the file meanwhile, but for --dry-run; a
    database keeps its segments itself, and its nodes may go on.
    """
    output = Output(as_json=as_json)
    older_than_s = _seconds(older_than)
    if dry_run:
        now_us = time.time_ns() // 1000
        done = would_archive(opened(data), older_than_s, now_us)
    else:
        done = anyio.run(_archived, _log(data), older_than_s, output)
    if as_json:
        output.value(done)
    verb = "would be" if dry_run else "were"
    size = (
        ""
        if dry_run
        else f", now {done.segment_bytes} bytes in {done.segments} segments"
    )
    output.line(
        f"{done.events} events of {done.streams} streams {verb} archived, "
        f"{done.document_bytes} bytes{size}",
    )
    return 0


def _log(data: Where) -> "SqliteLog | PostgresLog":
    keys = found_keys(data)
    if isinstance(data, Database):
        return data.log(vocabulary(), keys)
    return SqliteLog(found_log(data), vocabulary(), keyring=keys)


async def _archived(
    log: "SqliteLog | PostgresLog", older_than_s: float, output: Output
) -> Archiving:
    with output.progress("archived") as progress:
        async with log:
            return await archive_log(
                log,
                older_than_s,
                progress=progress,
                waits=lambda: output.error(
                    "another node archives the log: this goes on when it has done so"
                ),
            )


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if found is None:
        raise UsageError(
            f"--older-than {text!r} is no length of time: write a number and one of "
            "s, m, h, d, w, such as 30d",
        )
    seconds = float(found[1]) * UNITS_S[found[2]]
    if seconds > MAX_S:
        raise UsageError(f"--older-than {text!r} is longer ago than any event")
    return seconds
