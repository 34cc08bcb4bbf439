"""A node: a counter and an owner of jobs over the shared log, told what to do by lines.

    python node.py SERVER SCHEMA NODE LEASE_S

It prints a JSON line for whatever happens. `count N` adds to the counter N times, each
with a number of its own; `open ID` and `end ID` concern a job; `archive` archives what has ended; `pause` stops the process
in the middle of the next transaction; `append STREAM VERSION` appends past the actors;
`follow` prints positions as they come; `leave` ends the node.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from dramaturg.actors.runtime import (
    ActorContext,
    ActorSystem,
    Ask,
    ChildSpec,
    Decision,
    EventSourced,
    OwnerContext,
    OwnerDecision,
    StreamOwner,
    Write,
)
from dramaturg.events import DramaturgError, Event, Fold, Registry
from dramaturg.events.log import StreamAppend, subscribe_pages
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.postgres import PostgresLog, committer

PATIENCE_S = 600.0
"""So long it waits for an answer: a busy machine is no reason to give up."""


class Counted(Event, tag="node.counted"):
    id: str


class Opened(Event, tag="node.opened"):
    by: str


class Ended(Event, tag="node.ended", closes=True):
    by: str


REGISTRY = Registry([Counted, Opened, Ended])


class Total(msgspec.Struct, frozen=True):
    count: int = 0


class Job(msgspec.Struct, frozen=True):
    by: str = ""


class Count(Ask[int]):
    id: str


class Open(Ask[None]):
    id: str


class End(Ask[None]):
    id: str


def say(**what: object) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


class Counter(EventSourced[Total]):
    stream = "counter/all"
    snapshot_every = 50
    fold = Fold(
        kind="counter",
        state=Total,
        initial=lambda _: Total(),
        evolve=lambda state, _: Total(state.count + 1),
    )

    def decide(self, state: Total, command: Any, ctx: ActorContext) -> Decision:  # noqa: ARG002
        return Decision((Counted(command.id),), state.count + 1)

    def resume(self, state: Total, ctx: ActorContext) -> None:  # noqa: ARG002
        say(counter=state.count)


def job(state: Job, event: Event) -> Job:
    return Job(event.by) if isinstance(event, Opened) else state


class Jobs(StreamOwner[Job]):
    prefix = "job/"
    fold = Fold(kind="job", state=Job, initial=lambda _: Job(), evolve=job)

    def __init__(self, node: str) -> None:
        self._node = node

    def decide(
        self,
        states: Mapping[str, Job],  # noqa: ARG002
        command: Any,
        ctx: OwnerContext,  # noqa: ARG002
    ) -> OwnerDecision:
        event = Opened if isinstance(command, Open) else Ended
        return OwnerDecision((Write(f"job/{command.id}", (event(self._node),)),))

    def resume(self, states: Mapping[str, Job], ctx: OwnerContext) -> None:  # noqa: ARG002
        say(jobs={stream: state.by for stream, state in sorted(states.items())})


class Pausing:
    """Stops the process in the middle of a transaction, once it is told to."""

    def __init__(self) -> None:
        self.next = False
        self._columns = committer.columns

    def __call__(self, values: list[Any], kinds: Any) -> Any:
        if self.next:
            self.next = False
            say(pausing=True)
            # Sent to the process, it would come when the main thread is next run, and
            # this one would go on until then.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
        return self._columns(values, kinds)


class Node:
    def __init__(self, log: PostgresLog, system: ActorSystem, pausing: Pausing) -> None:
        self._log = log
        self._system = system
        self._pausing = pausing
        self._numbers = 0

    async def do(self, line: str) -> None:
        order, *words = line.split()
        try:
            match order:
                case "count":
                    await self._count(int(words[0]))
                case "open" | "end":
                    command = Open if order == "open" else End
                    await self._system.ref("/jobs").ask(
                        command(words[0]), timeout_s=PATIENCE_S
                    )
                case "pause":
                    self._pausing.next = True
                case "archive":
                    await archive_log(self._log, 0)
                case "append":
                    append = StreamAppend(words[0], int(words[1]), (Opened("x"),))
                    await self._log.append([append])
                case _:
                    await self._follow()
        except DramaturgError as error:
            say(order=order, refused=type(error).__name__)
        else:
            say(done=line)

    async def _count(self, times: int) -> None:
        for _ in range(times):
            self._numbers += 1
            name = f"{self._log.node} {self._numbers}"
            total = await self._system.ref("/counter").ask(
                Count(name), timeout_s=PATIENCE_S
            )
            say(counted=name, total=total)

    async def _follow(self) -> None:
        async for page in subscribe_pages(self._log):
            for row in page:
                say(heard=row.position)


async def main(server: str, schema: str, node: str, lease_s: str) -> None:
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    pausing = Pausing()
    setattr(committer, "columns", pausing)  # noqa: B010 - it is of another type
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    log = PostgresLog(
        server,
        REGISTRY,
        schema=schema,
        node=node,
        lease_s=float(lease_s),
        retry_s=(0.02, 0.2),
    )
    async with log, ActorSystem(log=log) as system, asyncio.TaskGroup() as tasks:
        say(open=log.epoch)
        log.on_availability(lambda available: say(available=available, epoch=log.epoch))
        here = Node(log, system, pausing)
        starts = [
            tasks.create_task(system.spawn(ChildSpec(id="counter", factory=Counter))),
            tasks.create_task(
                system.spawn(ChildSpec(id="jobs", factory=lambda: Jobs(node)))
            ),
        ]
        orders: list[asyncio.Task[None]] = []
        while (line := (await lines.readline()).decode().strip()) not in {"", "leave"}:
            orders.append(tasks.create_task(here.do(line)))
        for task in (*starts, *orders):
            task.cancel()
    say(left=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
