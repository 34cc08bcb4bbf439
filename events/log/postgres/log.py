"""The log in a schema of a PostgreSQL database, shared by several nodes."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from ...registry import Registry
from ..archive.retention import RetentionPolicy
from ..encryption import Keyring
from ..encryption.engine import KeyedEngine
from ..errors import LogFormatError, LogUnavailableError
from ..sealer import SealPolicy
from ..writer import Work
from ..written import RETRY_S, UNWRITTEN_MAX, WrittenLog
from .claiming import Claims
from .claims import living, take
from .engine import PostgresEngine
from .lease import RENEWALS, Heard
from .reader import PostgresReader
from .schema import NAME
from .store import PostgresStore

LEASE_S = 10.0
"""So long after its last sign of life a node's streams may be taken over."""

_CLAIM_EVERY_S = 0.5
"""How often a claim that another node holds is asked for again, at the least."""


_ANSWER_S = 30.0
"""So long, at the least, the answer to what an actor reads may take."""


class PostgresLog(WrittenLog[PostgresReader]):
    """An `EventLog` in the schema `schema` of the database that `conninfo` names.

    Several nodes share it. What an actor owns it claims before it reads it (`claim`),
    and a node's claims last as long as its lease, which it renews three times in
    `lease_s`. A node that could not do so, because it was paused or cut off, writes
    nothing more: its actors are suspended, and claim and read their streams again.
    Times of leases are the server's, so that the nodes' clocks do not matter.

    `conninfo` is what libpq takes. `seals`: one node of all may seal the log. With a
    `keyring`, whose file all nodes share, events whose context names an owner, and all
    snapshots, are encrypted; all nodes have one or none. With `retention` it archives
    by itself what ended long ago, one node at a time. Entering raises
    `LogFormatError`, `LogUnavailableError`, and `KeyMissingError` when the keyring is
    not the log's.
    """

    def __init__(  # noqa: PLR0913 - options by name, each with its default
        self,
        conninfo: str,
        registry: Registry,
        *,
        schema: str = "dramaturg",
        node: str = "",
        lease_s: float = LEASE_S,
        unwritten_max: int = UNWRITTEN_MAX,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        retry_s: tuple[float, float] = RETRY_S,
        seals: SealPolicy | None = None,
        keyring: Keyring | None = None,
        retention: RetentionPolicy | None = None,
    ) -> None:
        if NAME.fullmatch(schema) is None:
            raise LogFormatError(
                f"{schema!r} cannot be the name of a log's schema: use lower case "
                "letters, digits and underscores",
            )
        if lease_s <= 0:
            raise ValueError(f"lease_s is {lease_s}, but must be more than 0")
        self._postgres = PostgresEngine(
            conninfo,
            schema=schema,
            node=node,
            lease_s=lease_s,
            now_us=now_us,
            heard=Heard(
                committed=partial(self._tell, self._on_heard),
                freed=lambda: self._tell(self._claims.look),
                lost=lambda: self._tell(self._on_lost),
            ),
            encrypts=keyring is not None,
        )
        super().__init__(
            registry,
            engine=KeyedEngine(self._postgres, keyring),
            reader=lambda registry: PostgresReader(
                conninfo,
                registry,
                schema=schema,
                node=node,
                patience_s=lease_s,
                answer_s=max(_ANSWER_S, 2 * lease_s),
                keyring=keyring,
            ),
            node=node,
            unwritten_max=unwritten_max,
            now_us=now_us,
            retry_s=retry_s,
            seals=seals,
            retention=retention,
        )

        self._conninfo = conninfo
        self._schema = schema
        self._heard = 0
        """The last position of what other nodes told, also while the log was away."""
        self._claims = Claims(
            self,
            lambda epoch, names, released: self._readers.run(
                lambda reader: reader.use(
                    lambda db: take(db, self._postgres.channel, epoch, names, released),
                ),
            ),
            self._on_lost,
            every_s=min(_CLAIM_EVERY_S, lease_s / RENEWALS),
        )

    async def claim(self, name: str) -> None:
        """Wait until this node alone may write a stream, or all under a prefix.

        It waits through failures of the log. Raises `LogUnavailableError` when the log
        is closed.
        """
        if self._closing:
            raise LogUnavailableError(f"{name!r} cannot be claimed: the log is closed")
        await self._claims.claim(name)

    def disclaim(self, name: str) -> None:
        """Let other nodes claim what this one had; see `EventLog.disclaim`."""
        if not self._closing:
            self._claims.release(name)

    def look(self) -> PostgresStore:
        """Open the log for a survey. Blocking."""
        return PostgresStore(self._conninfo, schema=self._schema, node=self.node)

    async def others(self) -> list[str]:
        """Return the other nodes that are alive."""
        return await self._readers.run(
            lambda reader: reader.use(lambda db: living(db, self.epoch)),
        )

    async def _stop(self) -> None:
        self._closing = True
        await self._claims.close()
        await super()._stop()

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        """Have something called on the loop, from the lease's thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *args)

    def _on_opened(self, epoch: int, position: int) -> None:
        super()._on_opened(epoch, max(position, self._heard))
        self._on_lost()  # perhaps it is, and was told of too early

    def _on_heard(self, position: int) -> None:
        self._heard = max(position, self._heard)
        if position > self.position and self.available:
            self.position = position
            self._commits.tell(position)

    def _on_lost(self) -> None:
        if self.available:  # else the writer knows, or will look once the log is open
            self._writer.put(Work([], [], 0))
