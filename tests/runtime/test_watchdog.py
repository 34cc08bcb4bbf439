"""In development, a handler that holds up the loop is found out."""

import asyncio
import threading
from collections.abc import Callable, MutableMapping
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
            await thinker.ask(kind(spinning(lines)), timeout_s=60.0)
            while not notices:  # noqa: ASYNC110 - a turn or two
                await asyncio.sleep(0)

        line = lines[0]
        assert (line["actor"], line["message"]) == ("/thinker", kind.__name__)
        assert "test_watchdog.py" in line["where"]
        assert "message.spin()" in line["stack"]
        assert "pump.py" not in line["stack"]
        assert isinstance(notices[0].message, kind)


@pytest.mark.asyncio
async def test_a_message_from_a_full_mailbox_or_a_timer_is_named_as_well() -> None:
    async with ActorSystem(development=True) as system:
        thinker = await system.spawn(spec("thinker", Thinker))
        with capture_logs() as lines:
            thinker.tell(Ring(lambda: None))
            thinker.tell(Ring(spinning(lines)))
            await system.settled()
        with capture_logs() as later:
            context = system.cell("/thinker").own_context()
            context.timers.once("ring", 0.0, Ring(spinning(later)))
            while not blocked(later):  # noqa: ASYNC110 - until the timer rings
                await asyncio.sleep(0)

        for line in (*blocked(lines), *blocked(later)):
            assert (line["actor"], line["message"]) == ("/thinker", "Ring")


@pytest.mark.asyncio
async def test_a_host_that_holds_its_loop_up_is_found_out_as_well() -> None:
    async with ActorSystem(development=True):
        with capture_logs() as lines:
            spinning(lines)()
            while lines[-1]["event"] != "loop.unblocked":  # noqa: ASYNC110 - soon
                await asyncio.sleep(0)

    assert (lines[0]["actor"], lines[0]["message"]) == (None, None)
    assert "test_watchdog.py" in lines[0]["where"]
    assert lines[1]["took_s"] > 0


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
