"""`dramaturg log erase`: one owner's payloads, so that nobody can read them again."""

from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from ...events import vocabulary
from ...events.log.encryption import KeyMissingError, Keyring
from ...events.log.encryption.erasing import Erasure, erase_owner, would_erase
from ...events.log.file_store import FileStore
from ...events.log.sqlite import SqliteLog
from ..errors import UsageError
from ..layout import found_keys, found_log, keys_path
from ..options import Data, Json
from ..output import Output

ARTIFACTS = "artifacts"
"""The folder of large values, beside the log."""


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
    output = Output(as_json=as_json)
    path = found_log(data)
    keyring = found_keys(data)
    if keyring is None:
        raise KeyMissingError(
            f"there are no keys {keys_path(data)}: nothing was encrypted, or the key "
            "file is elsewhere; put it or a link to it there",
        )
    artifacts = path.with_name(ARTIFACTS)
    if dry_run:
        done = would_erase(partial(FileStore, path), keyring, owner, artifacts)
    else:
        done = anyio.run(_erased, path, keyring, owner, reason, by, artifacts, partly)
    if as_json:
        output.value(done)
    if not done.events:
        output.error(f"{path} has no events of {owner!r}: look at `log tail --json`")
        return 1
    _say(done, output, dry_run=dry_run)
    return 0 if done.ok else 1


async def _erased(  # noqa: PLR0913, PLR0917 - what the command was given
    path: Path,
    keyring: Keyring,
    owner: str,
    reason: str,
    by: str,
    artifacts: Path,
    partly: bool,  # noqa: FBT001 - anyio hands it over by place
) -> Erasure:
    async with SqliteLog(path, vocabulary(), keyring=keyring) as log:
        return await erase_owner(
            log,
            keyring,
            owner,
            reason=reason,
            by=by,
            artifacts=artifacts,
            folder=path.parent,
            partly=partly,
        )


def _say(done: Erasure, output: Output, *, dry_run: bool) -> None:
    verb = "would be" if dry_run else "were"
    output.line(
        f"{done.readable} of {done.events} events in {done.streams} streams, and "
        f"{done.artifacts} artifacts, {verb} erased",
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
