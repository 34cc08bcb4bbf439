"""Payloads encrypted in PostgreSQL, by nodes that share one key file."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from anyio import to_thread

from dramaturg.events.log import LogUnavailableError
from dramaturg.events.log.encryption import Keyring
from dramaturg.events.log.encryption.erasing import (
    Erasure,
    NodesAtWorkError,
    erase_owner,
)
from dramaturg.events.log.encryption.event import MARK
from dramaturg.events.log.postgres import PostgresLog, PostgresReader

from ..log.encrypted import ANN, EncryptionContract, write
from ..log.vocabulary import REGISTRY, Counted, Started
from .keyed import OWNERS, Written
from .keyed import REGISTRY as KEYED

SCRIPT = Path(__file__).with_name("keyed.py")


class EncryptedPostgres:
    def __init__(self, server: str, schema: str) -> None:
        self._server = server
        self._schema = schema

    def open(self, keyring: Keyring | None) -> PostgresLog:
        return PostgresLog(
            self._server,
            REGISTRY,
            schema=self._schema,
            keyring=keyring,
            retry_s=(0.01, 0.1),
        )

    def stored(self) -> bytes:
        with psycopg.connect(
            self._server, options=f"-c search_path={self._schema}"
        ) as db:
            rows: list[Any] = db.execute("SELECT state FROM events").fetchall()
            rows += db.execute("SELECT encode(state, 'escape') FROM snapshots")
        return "".join(state for (state,) in rows).encode()


@pytest.fixture
def engine(server: str, schema: str) -> EncryptedPostgres:
    return EncryptedPostgres(server, schema)


class TestEncryptedPostgresLog(EncryptionContract):
    """See `EncryptionContract`."""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("has_keys", "said"),
    [(False, "start the node again with the"), (True, "put the key file of the log")],
)
async def test_a_node_without_the_keys_writes_nothing_more_once_another_encrypts(  # noqa: PLR0913, PLR0917 - the node, and its server
    engine: EncryptedPostgres,
    server: str,
    schema: str,
    tmp_path: Path,
    has_keys: bool,  # noqa: FBT001 - as pytest gives it
    said: str,
) -> None:
    keys = Keyring(tmp_path / "keys.jsonl")
    other = Keyring(tmp_path / "other.jsonl") if has_keys else None
    async with engine.open(None) as plain:
        await write(plain, "ann", 0, Started("in the clear"))
    async with engine.open(other) as left:
        async with engine.open(keys) as log:
            await write(log, "ann", 1, Started(ANN))
        refused = asyncio.create_task(write(left, "ann", 2, Counted()))
        with pytest.raises(LogUnavailableError, match=said):
            await refused
        assert not left.available

    def look() -> list[str]:
        with PostgresReader(server, REGISTRY, schema=schema, withhold=True) as reader:
            rows = reader.read_stream("person/ann")
            assert reader.withheld == 1
            return [type(row.event).__name__ for row in rows]

    assert await to_thread.run_sync(look) == ["Started", "Withheld"]


@pytest.mark.asyncio
async def test_nobody_is_erased_while_another_node_remembers(
    engine: EncryptedPostgres, tmp_path: Path
) -> None:
    keys = Keyring(tmp_path / "keys.jsonl")

    async def erase(log: PostgresLog) -> Erasure:
        return await erase_owner(
            log, keys, "ann", reason="", by="tester", artifacts=tmp_path / "none"
        )

    async with engine.open(keys) as one:
        async with engine.open(keys) as other:
            await write(other, "ann", 0, Started(ANN))
            with pytest.raises(NodesAtWorkError, match="of epoch 2"):
                await erase(one)
            assert (await one.read_stream("person/ann"))[0].event == Started(ANN)
        assert (await erase(one)).ok


@pytest.mark.kill
def test_nodes_that_make_keys_at_once_share_them(
    server: str, schema: str, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.jsonl"
    words = [sys.executable, str(SCRIPT), server, schema, str(keys)]
    nodes = [
        subprocess.Popen([*words, node], stderr=subprocess.PIPE, text=True)
        for node in ("a", "b")
    ]
    for node in nodes:
        _, said = node.communicate()
        assert node.returncode == 0, said

    keyring = Keyring(keys)
    names = [keyring.names(f"owner {number}") for number in range(OWNERS)]
    assert {len(each) for each in names} == {1}
    with PostgresReader(server, KEYED, schema=schema, keyring=keyring) as reader:
        rows = [row for row in reader.read() if row.header.owner]
        assert len(reader.read_stream(MARK)) == 1
    assert len(rows) == 2 * OWNERS
    assert all(row.event == Written(row.header.node) for row in rows)
