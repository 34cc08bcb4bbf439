"""Nodes that share a log, as processes: killed, stopped, paused and cut off.

Leases last longer than any test, and end when a test says so: a node whose lease is as
short as a test would lose it on a machine that is busy with other things.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from dramaturg.events import Registry, UnknownEvent
from dramaturg.events.log import Recorded
from dramaturg.events.log.archive.event import STREAM, Archived
from dramaturg.events.log.postgres import PostgresReader
from dramaturg.events.log.postgres.schema import connect

from .node import REGISTRY, Counted, Ended, Opened

pytestmark = pytest.mark.kill

LEASE_S = 600.0
SCRIPT = Path(__file__).parent / "node.py"


class Process:
    """A node and what it has said."""

    def __init__(self, server: str, schema: str, name: str) -> None:
        self.said: list[dict[str, Any]] = []
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), server, schema, name, str(LEASE_S)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def tell(self, line: str) -> None:
        self._in.write(line.encode() + b"\n")
        self._in.flush()

    def until(self, **wanted: object) -> dict[str, Any]:
        """Read on until it says something of this kind."""
        for line in self._out:
            said = json.loads(line)
            self.said.append(said)
            if all(said.get(key) == value for key, value in wanted.items()):
                return dict(said)
        raise AssertionError(f"it ended without {wanted}, after {self.said[-5:]}")

    def until_any(self, *keys: str) -> dict[str, Any]:
        for line in self._out:
            said = json.loads(line)
            self.said.append(said)
            if said.keys() & set(keys):
                return dict(said)
        raise AssertionError(f"it ended without {keys}, after {self.said[-5:]}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        for line in self._out:
            if line.endswith(b"\n"):
                self.said.append(json.loads(line))

    def counted(self) -> set[str]:
        return {said["counted"] for said in self.said if "counted" in said}

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._in.close()
        self._out.close()


Start = Callable[[str], Process]


class End(Protocol):
    def __call__(self, process: Process, in_s: float = 0.0) -> None: ...


@pytest.fixture
def start(server: str, schema: str) -> Generator[Start]:
    with ExitStack() as stack:

        def begin(name: str) -> Process:
            process = Process(server, schema, name)
            stack.callback(process.close)
            return process

        yield begin


@pytest.fixture
def end_lease(server: str, schema: str) -> End:
    """Return what has the lease of a node that does not renew it be over, or soon."""

    def end(process: Process, in_s: float = 0.0) -> None:
        with connect(server, schema) as db:
            ended = db.execute(
                "UPDATE nodes SET expires = clock_timestamp() + make_interval(secs => "
                "%s) WHERE node = %s",
                (in_s, process.name),
            )
            assert ended.rowcount == 1

    return end


def owner(process: Process) -> Process:
    """Return a node that owns everything."""
    ups = {*process.until_any("counter", "jobs")}
    while not {"counter", "jobs"} <= ups:
        ups |= {*process.until_any("counter", "jobs")}
    return process


def history(server: str, schema: str, *nodes: Process) -> list[Recorded]:
    """Return all events, once they are known to be whole and to hold what was told."""
    known = REGISTRY.merged(Registry([Archived]))
    reader = PostgresReader(server, known, schema=schema)
    try:
        rows = reader.read(limit=100_000)
        assert [row.position for row in rows] == [*range(1, len(rows) + 1)]
        for head in reader.streams():
            stream = reader.read_stream(head.stream)  # which compares the digests
            assert [row.version for row in stream] == [*range(1, head.version + 1)]
    finally:
        reader.close()
    counted = [row.event.id for row in rows if isinstance(row.event, Counted)]
    assert len(counted) == len({*counted}), "something was written twice"
    assert not {name for node in nodes for name in node.counted()} - {*counted}
    assert not any(isinstance(row.event, UnknownEvent) for row in rows)
    return rows


def test_what_a_killed_node_left_open_is_taken_over_after_its_lease(
    start: Start, end_lease: End, server: str, schema: str
) -> None:
    a = owner(start("a"))
    b = start("b")
    b.until(open=2)
    for order in ("open 1", "open 2", "end 1", "count 20"):
        a.tell(order)
        a.until(done=order)
    b.tell("append job/3 0")
    assert b.until_any("refused")["refused"] == "NotOwnerError"
    a.tell("count 100000")
    a.until_any("counted")
    a.kill()
    end_lease(a)

    b.until(jobs={"job/2": "a"})
    b.tell("end 2")
    b.until(done="end 2")
    b.tell("count 5")
    b.until(done="count 5")

    rows = history(server, schema, a, b)
    ends = [row.event for row in rows if isinstance(row.event, Ended)]
    assert ends == [Ended("a"), Ended("b")]
    counts = [row.header.node for row in rows if isinstance(row.event, Counted)]
    assert counts == sorted(counts)


def test_a_lease_is_over_by_itself_once_nobody_renews_it(
    start: Start, end_lease: End
) -> None:
    a = owner(start("a"))
    b = start("b")
    b.until(open=2)
    a.tell("open 1")
    a.until(done="open 1")
    a.kill()
    end_lease(a, in_s=0.5)

    b.until(jobs={"job/1": "a"})


def test_what_a_node_leaves_is_taken_over_and_may_come_back(
    start: Start, end_lease: End, server: str, schema: str
) -> None:
    a = owner(start("a"))
    b = start("b")
    b.until(open=2)
    a.tell("open 1")
    a.until(done="open 1")
    a.tell("leave")
    owner(b)
    a.until(left=True)
    # What a younger epoch has written may be taken over by an older one.
    c = start("c")
    c.until(open=3)
    b.tell("open 2")
    b.until(done="open 2")
    b.kill()
    end_lease(b)
    c.until(jobs={"job/1": "a", "job/2": "b"})
    history(server, schema)


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_node_that_was_paused_is_refused_and_waits(
    start: Start, end_lease: End, server: str, schema: str, *, in_transaction: bool
) -> None:
    a = owner(start("a"))
    b = start("b")
    b.until(open=2)
    a.tell("count 5")
    a.until(done="count 5")
    if in_transaction:
        a.tell("pause")
        a.until(done="pause")
        a.tell("count 100000")
        a.until(pausing=True)
    else:
        a.tell("count 100000")
        a.until_any("counted")
        a.signal(signal.SIGSTOP)
    end_lease(a)

    owner(b)  # it has taken over, and it writes
    b.tell("count 7")
    b.until(done="count 7")
    a.signal(signal.SIGCONT)
    a.until(available=False)
    a.until(available=True)
    a.tell("append counter/all 3")
    assert a.until_any("refused")["refused"] in {
        "LogUnavailableError",
        "OutcomeUnknownError",
        "OwnershipLostError",
        "NotOwnerError",
    }
    b.tell("count 3")
    b.until(done="count 3")
    b.tell("leave")
    last = a.until_any("counter")
    a.tell("count 2")
    a.until(done="count 2")

    rows = history(server, schema, a, b)
    nodes = [row.header.node for row in rows if isinstance(row.event, Counted)]
    assert last["counter"] == len(nodes) - 2
    first, last_of_b = nodes.index("b"), nodes.index("b") + 10
    assert nodes == ["a"] * first + ["b"] * 10 + ["a"] * (len(nodes) - last_of_b)


def test_what_a_paused_node_was_archiving_is_archived_once_by_another(
    start: Start, end_lease: End, server: str, schema: str
) -> None:
    a = owner(start("a"))
    b = start("b")
    b.until(open=2)
    for order in ("open 1", "open 2", "end 1", "end 2", "pause"):
        a.tell(order)
        a.until(done=order)
    a.tell("archive")
    a.until(pausing=True)
    end_lease(a)

    owner(b)
    b.tell("archive")
    b.until(done="archive")
    a.signal(signal.SIGCONT)
    assert a.until_any("refused")["order"] == "archive"
    a.tell("archive")
    a.until(done="archive")

    rows = history(server, schema, a, b)
    (said,) = [row for row in rows if row.stream == STREAM]
    assert said.header.node == "b"
    with PostgresReader(server, REGISTRY, schema=schema) as reader:
        (segment,) = reader.stored.segments()
        ((left,),) = reader.stored.query("SELECT count(*) FROM events")
    assert (segment.events, left) == (4, len(rows) - 4)


def test_a_node_that_is_cut_off_goes_on_in_its_next_epoch(
    start: Start, server: str, schema: str
) -> None:
    a = owner(start("a"))
    a.tell("open 1")
    a.until(done="open 1")
    for times in range(3):
        with psycopg.connect(server, autocommit=True) as db:
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'dramaturg:a'"
            )
        a.until(available=True)
        owner(a)
        a.tell(f"count {times + 1}")
        a.until(done=f"count {times + 1}")

    rows = history(server, schema, a)
    assert [row.event for row in rows if isinstance(row.event, Opened)] == [Opened("a")]
    assert rows[-1].header.epoch >= 4


def test_a_follower_on_another_node_hears_of_commits(
    start: Start, server: str, schema: str
) -> None:
    a = owner(start("a"))
    b = start("b")
    b.tell("follow")
    a.tell("count 30")
    a.until(done="count 30")
    b.until(heard=30)
    heard = [said["heard"] for said in b.said if "heard" in said]
    assert heard == [*range(1, 31)]
    history(server, schema, a)
