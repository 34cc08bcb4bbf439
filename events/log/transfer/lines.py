"""What an export is made of besides the lines of its events: its first line and its last.

    {"log":2,"after":0,"until":5021,"streams":[],"epoch":3,"committed":1763791000000900}
    {"position":1,...}                             see `..lines`
    {"damage":{"kind":"digest","position":7,...}}  what is not as it was written
    {"key":{"scope":"documents","key":"a.txt","stream":"item/documents/0192"}}
    {"end":{"events":5021,"keys":1,"damages":0,"digest":"<64 hexadecimal digits>"}}

The digest is SHA-256 of all bytes before its line, so that a cut or changed file shows.
"""

import msgspec

from ..api import IdempotencyKey
from ..integrity import Damage


class Start(msgspec.Struct, frozen=True):
    """The first line: which events of which log these are."""

    log: int
    """The format of the log."""
    after: int
    until: int
    """All positions above `after` and up to `until`, of these streams."""
    streams: tuple[str, ...]
    """None named: of all."""
    epoch: int
    """What the log's meta table says."""
    committed: int
    """Likewise; 0: the log goes on after `until`."""


class Ending(msgspec.Struct, frozen=True):
    """The last line: how much there is, and its digest in hexadecimal."""

    events: int
    keys: int
    damages: int
    digest: str


class EndLine(msgspec.Struct, frozen=True):
    """An `Ending` as a line."""

    end: Ending


class KeyLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """An idempotency key as a line."""

    key: IdempotencyKey


class DamageLine(msgspec.Struct, frozen=True):
    """Something that is not as it was written, as a line."""

    damage: Damage


_encode = msgspec.json.Encoder().encode


def encode(line: Start | EndLine | KeyLine | DamageLine) -> bytes:
    """Return a line, with its line break."""
    return _encode(line) + b"\n"
