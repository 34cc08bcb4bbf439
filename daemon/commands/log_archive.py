"""`dramaturg log archive`: old events into compressed files beside the log."""

import re
import time
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from ...events import vocabulary
from ...events.log.archive.archiving import Archiving, archive_log, would_archive
from ...events.log.sqlite import SqliteLog
from ..errors import UsageError
from ..layout import found_keys, found_log
from ..options import Data, Json
from ..output import Output

IN_FILES = (
    "what ended stays in the database's tables, which its server can keep on cheaper "
    "disks; to archive it, export the log and import it into a file"
)
"""What to do instead of archiving events of a database."""

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


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
    """Move the events of ended streams to compressed files beside the log.

    They are read, shown, exported and verified as before. Of open streams goes what a
    snapshot stands for. Nobody else may write the log meanwhile, but for --dry-run.
    """
    output = Output(as_json=as_json)
    older_than_s = _seconds(older_than)
    path = found_log(data, IN_FILES)

    keys = found_keys(data)

    async def run() -> Archiving:
        with output.progress("archived") as progress:
            async with SqliteLog(path, vocabulary(), keyring=keys) as log:
                return await archive_log(log, older_than_s, progress=progress)

    if dry_run:
        done = would_archive(path, older_than_s, time.time_ns() // 1000)
    else:
        done = anyio.run(run)
    if as_json:
        output.value(done)
    verb = "would be" if dry_run else "were"
    size = (
        "" if dry_run else f", now {done.segment_bytes} bytes in {done.segments} files"
    )
    output.line(
        f"{done.events} events of {done.streams} streams {verb} archived, "
        f"{done.document_bytes} bytes{size}",
    )
    return 0


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if found is None:
        raise UsageError(
            f"--older-than {text!r} is no length of time: write a number and one of "
            "s, m, h, d, w, such as 30d",
        )
    return float(found[1]) * UNITS_S[found[2]]
