"""`dramaturg log erase`: one owner's payloads, so that nobody can read them again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import anyio
from cyclopts import Parameter

from ...events import vocabulary
from ...events.log.encryption import KeyMissingError, Keyring
from ...events.log.encryption.erasing import Erasure, erase_owner, would_erase
from ...events.log.sqlite import SqliteLog
from ..database import Database
from ..errors import UsageError
from ..layout import found_keys, found_log, keys_path
from ..options import Data, Json, Where
from ..output import Output

if TYPE_CHECKING:
    from ...events.log.postgres import PostgresLog

ARTIFACTS = "artifacts"
"""The folder of large values, beside the log and its keys."""


def erase(  # noqa: PLR0913 - the options of a command
    owner: Annotated[str, Parameter(help="Whose data, as events name the owner.")],
    *,
    reason: Annotated[str, Parameter(help="Why; it is kept in the log.")],
    by: Annotated[str, Parameter(help="Who says so; it is kept in the log.")],
    dry_run: Annotated[bool, Parameter(help="Only say what would be erased.")] = False,
    partly: Annotated[
        bool,
        Parameter(help="Also if some of it was never encrypted, which stays."),
    ] = False,
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Destroy the keys of an owner's payloads; status 1 if something is left readable.

    Copies of the log that have no keys, such as backups and exports, become unreadable
    with it. The log stays whole and says in an event what was done. There is no way
    back. Nobody else may write the log meanwhile, but for --dry-run. If it was
    interrupted, do it again.
    """
    if not owner:
        raise UsageError("name an owner: no text is nobody's data")
    for option, text in (("--reason", reason), ("--by", by)):
        if not text.strip():
            raise UsageError(f"{option} is kept in the log: say it in words")
    output = Output(as_json=as_json)
    if not isinstance(data, Database):
        found_log(data)  # before its keys: without a log they are not missing
    keyring = found_keys(data)
    if keyring is None:
        raise KeyMissingError(
            f"there are no keys in {keys_path(data)}: nothing was encrypted, or the "
            "key file is elsewhere; put it or a link to it there",
        )
    artifacts = keyring.path.with_name(ARTIFACTS)
    log, folder = _log(data, keyring)
    if dry_run:
        done = would_erase(log.look, keyring, owner, artifacts)
    else:
        wanted = _Wanted(owner, reason, by, artifacts, folder, partly)
        done = anyio.run(_erased, log, keyring, wanted)
    if as_json:
        output.value(done)
    if not done.events:
        output.error(f"{data} has no events of {owner!r}: look at `log tail --json`")
        return 1
    _say(done, output, dry_run=dry_run)
    return 0 if done.ok else 1


class _Wanted(NamedTuple):
    owner: str
    reason: str
    by: str
    artifacts: Path
    folder: Path | None
    partly: bool


def _log(
    data: Where, keyring: Keyring
) -> tuple["SqliteLog | PostgresLog", Path | None]:
    """Return the log, and the folder in which traces are looked for, if it has one."""
    if isinstance(data, Database):
        return data.log(vocabulary(), keyring), None
    path = found_log(data)
    return SqliteLog(path, vocabulary(), keyring=keyring), path.parent


async def _erased(
    log: "SqliteLog | PostgresLog", keyring: Keyring, wanted: _Wanted
) -> Erasure:
    async with log:
        return await erase_owner(
            log,
            keyring,
            wanted.owner,
            reason=wanted.reason,
            by=wanted.by,
            artifacts=wanted.artifacts,
            folder=wanted.folder,
            partly=wanted.partly,
        )


def _say(done: Erasure, output: Output, *, dry_run: bool) -> None:
    verb = "would be" if dry_run else "were"
    output.line(
        f"{done.readable} of {done.events} events in {done.streams} streams, and "
        f"{done.artifacts} artifacts, {verb} erased",
    )
    if done.open:
        output.line(
            f"open streams: {done.open}; their work ends at the next start, and what it "
            "did outside of the log stays",
        )
    if done.artifacts_shared:
        output.line(f"{done.artifacts_shared} artifacts are others', too, and stay")
    if done.plain:
        output.error(
            f"{len(done.plain)} events were written without encryption and stay, the "
            f"first at position {done.plain[0]}",
        )
    if done.left:
        output.error(f"{done.left} events and snapshots can still be read")
    for trace in done.traces:
        output.error(f"{trace} still holds text of theirs: delete it or make it anew")
    if not dry_run and done.ok:
        output.line(
            "nothing readable is left"
            + (f"; {done.searched} texts were looked for" if done.searched else ""),
        )
