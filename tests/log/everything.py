"""Writes one log with all that docs/format.md speaks of."""

from pathlib import Path

import msgspec

from dramaturg.events import Registry
from dramaturg.events.log import Context, IdempotencyKey, Snapshot, StreamAppend
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.encryption import Keyring
from dramaturg.events.log.encryption.erasing import erase_owner
from dramaturg.events.log.encryption.event import EVENTS
from dramaturg.events.log.sqlite import SqliteLog

from .formats.make import AWKWARD
from .vocabulary import REGISTRY, Counted, Ended, Measured, Mixed, Noted, Started

EDGES = (
    Counted(2**53 - 1),
    Counted(-(2**53) + 1),
    Measured(5e-324),
    Measured(-1.7976931348623157e308),
    Measured(-0.0),
    Noted({"": [], "\u2028": {}, '"},"data":{': None, "a": [0.1, 1e22, True]}),
    Noted(""),
    Mixed(raw=msgspec.Raw(b'{"a":\n1}')),
)
"""Data at the edges of what a log takes."""

LARGE = Started("\U0001f3ad" * 70_000)
"""More than the block of a segment takes."""


async def write_everything(path: Path) -> None:
    """Write a log at `path`, with segments, and `keys.jsonl` beside it."""
    registry = REGISTRY.merged(Registry(EVENTS))
    keys = Keyring(path.with_name("keys.jsonl"))
    ticks = iter(range(1_000, 10**9, 10))

    def now_us() -> int:
        return next(ticks)

    async with SqliteLog(path, registry, node="n", keyring=keys, now_us=now_us) as log:
        context = Context(5, AWKWARD, "", AWKWARD, (AWKWARD, 7))
        await log.append([StreamAppend(AWKWARD, 0, EDGES)], context)
        both = [
            StreamAppend("edge/1", 0, (LARGE, *EDGES, LARGE, Ended())),
            StreamAppend("bare", 0, tuple(map(Counted, range(202)))),
        ]
        forever = IdempotencyKey(AWKWARD, "k", "edge/1")
        await log.append(both, keys=[forever, IdempotencyKey("a", "b", "bare", 2**52)])
        for owner in ("ann", AWKWARD):
            append = StreamAppend(f"person/{owner}", 0, EDGES)
            await log.append([append], Context(at_us=7, owner=owner))
        await log.append([StreamAppend("edge/2", 0, (Started("\x7f"), Ended()))])
        log.save_snapshot(Snapshot(AWKWARD, 8, 8, 1, b'{"a":1}'))
        await erase_owner(
            log, keys, "ann", reason="she asked", by="eve", artifacts=path.parent
        )
        log.save_snapshot(Snapshot("bare", 201, 220, 1, b"2"))
    async with SqliteLog(path, registry, keyring=keys, now_us=now_us) as log:
        await archive_log(log, 0, now_us=now_us)
        ended = StreamAppend("edge/2", 2, (Counted(),))
        await log.append([ended, StreamAppend("edge/3", 0, (Counted(), Ended()))])
        log.save_snapshot(Snapshot("bare", 202, 221, 2, b"3"))
        log.save_snapshot(Snapshot("bare", 202, 221, 3, b"3"))
        await archive_log(log, 0, now_us=now_us)
