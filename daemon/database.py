"""A log in PostgreSQL, where a command would else be given a folder or a file."""

import os
import re
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from ..events import Registry
from ..events.log.encryption import Keyring
from ..events.log.store import Opening
from ..events.log.transfer.target import OpenTarget
from .errors import UsageError

if TYPE_CHECKING:
    from ..events.log.postgres import PostgresLog, PostgresReader

SCHEMES = "postgresql", "postgres"
SCHEMA = "dramaturg"
"""Where a log is unless the address says `schema=...`."""

SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,50}")
"""What a schema may be called; as `events.log.postgres.schema` has it, an extra."""

KEYS = "DRAMATURG_LOG_KEYS"
"""The variable that names the key file of a log that has no folder."""


class Database(msgspec.Struct, frozen=True):
    """A log's address: what libpq takes, and the schema."""

    conninfo: str
    schema: str = SCHEMA

    @classmethod
    def of(cls, text: str) -> "Database | None":
        """Return the address that a text is; None if it is none.

        Raises `UsageError` for the address of something else, or of no schema.
        """
        parts = urlsplit(text)
        if parts.scheme not in SCHEMES:
            if "://" in text:
                raise UsageError(
                    f"--data {parts.scheme}://... is of nothing that holds a log: name "
                    "a folder, a file, or postgresql://...",
                )
            return None
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        schema = given.pop("schema", SCHEMA)
        if SCHEMA_NAME.fullmatch(schema) is None:
            raise UsageError(
                f"{schema!r} cannot be the schema of a log: use small letters, digits "
                "and _, and no digit first",
            )
        query = f"?{urlencode(given)}" if given else ""
        # By hand: urlunsplit leaves out the slashes where there is no host.
        return cls(f"{parts.scheme}://{parts.netloc}{parts.path}{query}", schema)

    def __str__(self) -> str:
        """Return what it is called in messages, without a password."""
        return f"postgresql:{self.schema}"

    @property
    def store(self) -> Opening:
        """What opens it for a tool. Raises `UsageError`."""
        store = _postgres("store").PostgresStore
        return partial(store, self.conninfo, schema=self.schema)

    @property
    def target(self) -> OpenTarget:
        """What opens it for an import. Raises `UsageError`."""
        target = _postgres("target").PostgresTarget
        return partial(target, self.conninfo, schema=self.schema)

    @property
    def keys_path(self) -> Path:
        """Where its keys are, which the variable `DRAMATURG_LOG_KEYS` names."""
        return Path(os.environ.get(KEYS) or f"a file that ${KEYS} names")

    def reader(self, registry: Registry, keyring: Keyring | None) -> "PostgresReader":
        """Open it for reading. Raises `UsageError` and `LogUnreadableError`."""
        reader: Any = _postgres("reader").PostgresReader
        opened: PostgresReader = reader(
            self.conninfo, registry, schema=self.schema, keyring=keyring, withhold=True
        )
        return opened

    def log(self, registry: Registry, keyring: Keyring | None) -> "PostgresLog":
        """Return it for writing; it must be there.

        Raises `UsageError`, `LogFormatError` and `LogUnreadableError`.
        """
        self.store().close()  # or a schema that was misspelt would be made
        made: Any = _postgres("log").PostgresLog
        log: PostgresLog = made(
            self.conninfo, registry, schema=self.schema, node="cli", keyring=keyring
        )
        return log


def _postgres(module: str) -> ModuleType:
    try:
        return import_module(f"..events.log.postgres.{module}", __package__)
    except ImportError as error:
        raise UsageError(
            "a log in PostgreSQL needs the package `psycopg`: install "
            "dramaturg[postgres]",
        ) from error
