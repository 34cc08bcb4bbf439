"""The log in a schema of a PostgreSQL database, shared by several nodes."""

import time
from collections.abc import Callable
from contextlib import suppress

import anyio
import anyio.to_thread
import structlog

from ...registry import Registry
from ..errors import LogFormatError
from ..sealer import SealPolicy
from ..writer import Work
from ..written import RETRY_S, UNWRITTEN_MAX, WrittenLog
from .claims import take
from .engine import RENEWALS, PostgresEngine
from .reader import PostgresReader
from .schema import NAME

LEASE_S = 10.0
"""So long after its last sign of life a node's streams may be taken over."""

_CLAIM_EVERY_S = 0.5
"""How often a claim that another node holds is asked for again, at the least."""

_log = structlog.get_logger()


class PostgresLog(WrittenLog[PostgresReader]):
    """An `EventLog` in the schema `schema` of the database that `conninfo` names.

    Several nodes share it. What an actor owns it claims before it reads it (`claim`),
    and a node's claims last as long as its lease, which it renews three times in
    `lease_s`. A node that could not do so, because it was paused or cut off, writes
    nothing more: its actors are suspended, and claim and read their streams again.
    Times of leases are the server's, so that the nodes' clocks do not matter.

    `conninfo` is what libpq takes. `seals`: one node of all may seal the log.
    Entering raises `LogFormatError` and `LogUnavailableError`.
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
    ) -> None:
        if NAME.fullmatch(schema) is None:
            raise LogFormatError(
                f"{schema!r} cannot be the name of a log's schema: use lower case "
                "letters, digits and underscores",
            )
        if lease_s <= 0:
            raise ValueError(f"lease_s is {lease_s}, but must be more than 0")
        self._conninfo = conninfo
        self._schema = schema
        self._lease_s = lease_s
        self._postgres = PostgresEngine(
            conninfo,
            schema=schema,
            node=node,
            lease_s=lease_s,
            now_us=now_us,
            heard=self._heard,
        )
        super().__init__(
            registry,
            engine=self._postgres,
            reader=lambda registry: PostgresReader(conninfo, registry, schema=schema),
            node=node,
            unwritten_max=unwritten_max,
            now_us=now_us,
            retry_s=retry_s,
            seals=seals,
        )

    async def claim(self, name: str) -> None:
        """Wait until this node alone may write a stream, or all under a prefix.

        A prefix ends in a slash. Raises `LogUnavailableError`.
        """
        told = False
        while not await anyio.to_thread.run_sync(
            take, self._conninfo, self._schema, name, self.epoch
        ):
            if not told:
                told = True
                _log.info("log.claim_waits", claim=name, node=self.node)
            await anyio.sleep(min(_CLAIM_EVERY_S, self._lease_s / RENEWALS))

    def _heard(self, position: int | None) -> None:
        """Take news from the lease's thread to the loop."""
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._on_heard, position)

    def _on_heard(self, position: int | None) -> None:
        if position is None:
            self._writer.put(Work([], [], 0))  # it notices that the lease is over
        elif position > self.position and self.available:
            self.position = position
            self._commits.tell(position)
