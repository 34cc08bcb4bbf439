"""In development, a handler that holds up the loop is found out."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    LoopBlocked,
    Message,
    handles,
)

from .actors import spec

Line = MutableMapping[str, Any]


class Compute(Ask[None]):
    spin: Callable[[], None]


class ComputeLater(Ask[None]):
    spin: Callable[[], None]


class Ring(Message):
    spin: Callable[[], None]


class Thinker(Actor):
    @handles
    def compute(self, message: Compute) -> None:
        message.spin()

    @handles
    async def compute_later(self, message: ComputeLater) -> None:
        await asyncio.sleep(0)
        message.spin()

    @handles
    def ring(self, message: Ring) -> None:
        message.spin()


def blocked(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["event"] == "loop.blocked"]


def spinning(lines: list[Line]) -> Callable[[], None]:
    """Return what holds the loop up until that is reported."""

    def spin() -> None:
        while not blocked(lines):
            pass

    return spin


async def caught(
    holds_up: Callable[[Callable[[], None]], Awaitable[object]], lines: list[Line]
) -> Line:
    """Have somebody hold the loop up, and return what is said of it.

    A busy machine may hold it up just before, and that is said instead.
    """
    while True:
        lines.clear()
        await asyncio.sleep(0)  # so that there are signs of life from now on
        await holds_up(spinning(lines))
        if "in spin\n" in blocked(lines)[0]["stack"]:
            return blocked(lines)[0]


@pytest.mark.parametrize("kind", [Compute, ComputeLater])
@pytest.mark.asyncio
async def test_it_is_named_with_its_message_and_the_line(
    kind: type[Compute | ComputeLater],
) -> None:
    notices: list[LoopBlocked] = []
    async with ActorSystem(development=True) as system:
        system.events.subscribe(LoopBlocked, notices.append)
        thinker = await system.spawn(spec("thinker", Thinker))

        with capture_logs() as lines:
            line = await caught(
                lambda spin: thinker.ask(kind(spin), timeout_s=60.0), lines
            )

        assert (line["actor"], line["message"]) == ("/thinker", kind.__name__)
        assert "test_watchdog.py" in line["where"]
        assert "message.spin()" in line["stack"]
        assert "pump.py" not in line["stack"]
        while not notices or notices[-1].path is None:  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)
        assert isinstance(notices[-1].message, kind)


@pytest.mark.asyncio
async def test_a_message_from_a_full_mailbox_or_a_timer_is_named_as_well() -> None:
    async with ActorSystem(development=True) as system:
        thinker = await system.spawn(spec("thinker", Thinker))

        async def fill(spin: Callable[[], None]) -> None:
            thinker.tell(Ring(lambda: None))
            thinker.tell(Ring(spin))
            await system.settled()

        async def ring(spin: Callable[[], None]) -> None:
            rung = asyncio.Event()

            def spin_and_say_so() -> None:
                spin()
                rung.set()

            context = system.cell("/thinker").own_context()
            context.timers.once("ring", 0.0, Ring(spin_and_say_so))
            await rung.wait()

        for holds_up in (fill, ring):
            with capture_logs() as lines:
                line = await caught(holds_up, lines)
            assert (line["actor"], line["message"]) == ("/thinker", "Ring")


@pytest.mark.asyncio
async def test_a_host_that_holds_its_loop_up_is_found_out_as_well() -> None:
    async def spins(spin: Callable[[], None]) -> None:
        spin()

    async with ActorSystem(development=True):
        with capture_logs() as lines:
            line = await caught(spins, lines)
            while lines[-1]["event"] != "loop.unblocked":  # noqa: ASYNC110 - soon
                await asyncio.sleep(0)

    assert (line["actor"], line["message"]) == (None, None)
    assert "test_watchdog.py" in line["where"]
    assert lines[-1]["took_s"] > 0


@pytest.mark.asyncio
async def test_the_thread_is_there_in_development_only_and_ends_with_the_system() -> (
    None
):
    def dogs() -> set[threading.Thread]:
        threads = threading.enumerate()
        return {each for each in threads if each.name == "dramaturg.watchdog"}

    before = dogs()
    async with ActorSystem():
        assert dogs() <= before
    async with ActorSystem(development=True):
        assert len(dogs() - before) == 1
    while dogs():  # noqa: ASYNC110 - it has been told
        await asyncio.sleep(0)
