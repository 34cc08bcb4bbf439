"""Columns of values, as PostgreSQL takes arrays in binary.

psycopg writes an array element by element in Python, which costs more than all else
of a large group; these take a few calls for each column.
"""

from collections.abc import Iterable, Sequence
from struct import pack

from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_BYTEA, _INT8, _TEXT = 17, 20, 25  # as in pg_type
_HEADER = "!iiIii"
_NULL, _EIGHT = pack("!i", -1), pack("!i", 8)


class Array(bytes):
    """An array as it is sent."""

    oid: int


class Integers(Array):
    """An array of `bigint`."""

    oid = 1016

    @classmethod
    def of(cls, values: Sequence[int | None]) -> "Integers":
        """Encode integers; None is NULL."""
        items = [
            _NULL if value is None else _EIGHT + value.to_bytes(8, "big", signed=True)
            for value in values
        ]
        return cls(pack(_HEADER, 1, 1, _INT8, len(values), 1) + b"".join(items))


class Texts(Array):
    """An array of `text`."""

    oid = 1009

    @classmethod
    def of(cls, values: Iterable[str]) -> "Texts":
        """Encode texts."""
        return cls(_encoded(_TEXT, [value.encode() for value in values]))


class Blobs(Array):
    """An array of `bytea`."""

    oid = 1001

    @classmethod
    def of(cls, values: Sequence[bytes | bytearray]) -> "Blobs":
        """Encode bytes."""
        return cls(_encoded(_BYTEA, values))


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer:
        return obj


class _IntegersDumper(_ArrayDumper):
    oid = Integers.oid


class _TextsDumper(_ArrayDumper):
    oid = Texts.oid


class _BlobsDumper(_ArrayDumper):
    oid = Blobs.oid


def register(context: AdaptContext) -> None:
    """Have a connection take these arrays as parameters."""
    context.adapters.register_dumper(Integers, _IntegersDumper)
    context.adapters.register_dumper(Texts, _TextsDumper)
    context.adapters.register_dumper(Blobs, _BlobsDumper)


def _encoded(kind: int, values: Sequence[bytes | bytearray]) -> bytes:
    parts: list[bytes | bytearray] = [pack(_HEADER, 1, 0, kind, len(values), 1)]
    for value in values:
        parts += (len(value).to_bytes(4, "big"), value)
    return b"".join(parts)
