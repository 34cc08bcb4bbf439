"""One seed, one interleaving; and time that takes no time."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import anyio
import anyio.to_thread
import pytest

from dramaturg.events import Event, Registry
from dramaturg.events.log import MemoryLog, StreamAppend
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.wall import wall_us
from dramaturg.testing import (
    DeadlockError,
    SeededLoop,
    StepLimitError,
    UnseededError,
    run_seeded,
    run_seeds,
)

from .digests import SEEDS, digest


class Happened(Event, tag="kit.happened"):
    pass


async def race() -> str:
    """Return the order in which three tasks came to their ends."""
    order: list[str] = []

    async def run(name: str) -> None:
        await asyncio.sleep(0)
        order.append(name)

    await asyncio.gather(*(run(name) for name in "abc"))
    return "".join(order)


def test_the_same_seed_gives_the_same_interleaving() -> None:
    runs: dict[int, tuple[str, str]] = {}
    for seed in [*range(20), *range(20)]:
        loop = SeededLoop(seed)
        found = (loop.run(race()), loop.digest)
        assert runs.setdefault(seed, found) == found

    assert len({digest for _, digest in runs.values()}) > 10


def test_all_orders_come_under_some_seed() -> None:
    assert len(set(run_seeds(range(60), race))) == 6


def test_without_a_seed_it_is_first_come_first_served() -> None:
    assert run_seeded(None, race) == "abc"


async def lost_update() -> int:
    """Add one twice, with a step between reading and writing."""
    total = 0

    async def add() -> None:
        nonlocal total
        seen = total
        if seen:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        total = seen + 1

    await asyncio.gather(add(), add())
    return total


def test_a_race_is_found_and_found_again() -> None:
    totals = run_seeds(range(40), lost_update)

    assert set(totals) == {1, 2}
    assert totals == run_seeds(range(40), lost_update)


def test_callbacks_of_one_receiver_keep_their_order() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[int] = []
        told: list[int] = []

        def note(n: int, _: object) -> None:
            told.append(n)

        future = loop.create_future()
        for n in range(5):
            loop.call_soon(seen.append, n)
            future.add_done_callback(partial(note, n))
        future.set_result(None)
        await asyncio.sleep(1)
        assert seen == told == [0, 1, 2, 3, 4]

    run_seeds(range(30), main)


def test_an_hour_passes_at_once_and_is_an_hour() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(6000):
            await asyncio.sleep(0.6)
        assert loop.time() == 3600.0

    before = time.process_time()
    run_seeded(1, main)
    assert time.process_time() - before < 60


def test_what_is_due_at_one_time_comes_in_any_order_and_the_rest_in_its_own() -> None:
    async def main() -> str:
        order: list[str] = []

        async def wake(after_s: float, name: str) -> None:
            await asyncio.sleep(after_s)
            order.append(name)

        await asyncio.gather(wake(2, "c"), wake(1, "a"), wake(1, "b"))
        return "".join(order)

    assert set(run_seeds(range(20), main)) == {"abc", "bac"}


def test_on_a_slow_machine_timers_overtake_what_is_ready() -> None:
    async def main() -> bool:
        try:
            async with asyncio.timeout(1):
                for _ in range(20):
                    await asyncio.sleep(0)
        except TimeoutError:
            return True
        return False

    assert not any(run_seeds(range(50), main))
    assert any(run_seeds(range(50), main, lag_s=2.0))


def test_a_cancelled_timer_is_not_waited_for() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(1000):
            loop.call_later(5, print).cancel()
        async with asyncio.timeout(100):
            await asyncio.sleep(1)
        await asyncio.sleep(0)
        assert loop.time() == 1.0

    run_seeded(3, main)


async def everything_in_asyncio() -> list[Any]:
    """Use what makes up asyncio and anyio; the results do not depend on order."""
    queue: asyncio.Queue[int] = asyncio.Queue(2)
    lock, condition = asyncio.Lock(), asyncio.Condition()
    done: list[int] = []

    async def produce() -> None:
        for n in range(5):
            async with lock:
                await queue.put(n)

    async def consume() -> None:
        for _ in range(5):
            done.append(await queue.get())
            async with condition:
                condition.notify_all()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce())
        tasks.create_task(consume())
        async with condition:
            await condition.wait_for(lambda: len(done) == 5)
    with anyio.move_on_after(3) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            group.start_soon(anyio.sleep, 1)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(divide(), 5)
    got, _ = await asyncio.wait([asyncio.ensure_future(divide()) for _ in range(3)])
    return [done, scope.cancelled_caught, sum(t.exception() is not None for t in got)]


async def divide() -> float:
    await asyncio.sleep(0.5)
    return 1 / 0


def test_asyncio_and_anyio_work_under_every_seed() -> None:
    results = run_seeds(range(100), everything_in_asyncio)

    assert results == [[[0, 1, 2, 3, 4], True, 3]] * 100


def test_a_runner_and_anything_else_can_be_given_such_a_loop() -> None:
    with asyncio.Runner(loop_factory=lambda: SeededLoop(4), debug=True) as runner:
        assert runner.run(race()) == run_seeded(4, race)
        assert runner.get_loop().get_debug()


def test_a_deadlock_says_who_waits_and_where() -> None:
    async def waits_for_nobody() -> None:
        await asyncio.gather(asyncio.Event().wait(), anyio.Event().wait())

    with pytest.raises(DeadlockError, match=r"main waits at test_loop\.py") as caught:
        run_seeded(11, waits_for_nobody)

    assert "in test_a_deadlock_says" in str(caught.value)
    assert "under seed 11, at step" in caught.value.__notes__[0]


def test_what_goes_round_and_round_is_ended() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110 - what is tested
            await asyncio.sleep(1)

    with pytest.raises(StepLimitError, match="after 500 steps"):
        run_seeded(1, spin, steps_max=500)


def test_what_is_left_is_cancelled_at_the_end() -> None:
    ended: list[str] = []

    async def linger(name: str) -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            await asyncio.sleep(1)
            ended.append(name)

    async def main() -> None:
        tasks = [asyncio.ensure_future(linger(name)) for name in "ab"]
        await asyncio.sleep(1)
        assert not tasks[0].done()

    run_seeded(1, main)
    assert sorted(ended) == ["a", "b"]


def test_what_will_not_end_is_left_where_it_is() -> None:
    async def stubborn() -> NoReturn:
        while True:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                await asyncio.Event().wait()

    async def main() -> str:
        tasks.append(asyncio.ensure_future(stubborn()))
        await asyncio.sleep(2)
        return "done"

    tasks: list[asyncio.Task[NoReturn]] = []
    assert run_seeded(1, main) == "done"
    assert not tasks[0].done()


def test_generators_that_nobody_went_through_are_closed() -> None:
    closed: list[str] = []

    async def count(name: str) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(name)

    async def main() -> None:
        async for _ in count("dropped"):
            break
        kept.append(count("kept"))
        await anext(kept[0])

    kept: list[AsyncIterator[int]] = []
    run_seeded(2, main)
    assert sorted(closed) == ["dropped", "kept"]


def test_an_error_in_a_callback_ends_the_run() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(5, lambda: 1 / 0)
        await asyncio.sleep(10)

    with pytest.raises(ZeroDivisionError):
        run_seeded(1, main)


def test_an_error_in_a_callback_may_be_handled() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        told: list[str] = []
        loop.set_exception_handler(lambda _, said: told.append(said["message"]))
        assert loop.get_exception_handler() is not None
        loop.call_soon(divide_at_once)
        await asyncio.sleep(1)
        return told

    assert run_seeded(1, main) == ["divide_at_once"]


def divide_at_once() -> float:
    return 1 / 0


def test_an_error_that_nobody_took_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(divide())
        await asyncio.sleep(1)
        assert task.done()

    run_seeded(1, main)
    assert "exception was never retrieved" in caplog.text


def test_a_crash_ends_the_run_at_once() -> None:
    class Crash(BaseException):
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        try:
            loop.abort(Crash())
            reached.append(1)
            await asyncio.sleep(1)
            reached.append(2)
        finally:
            reached.append(3)

    reached: list[int] = []
    with pytest.raises(Crash):
        run_seeded(1, main)
    assert reached == [1, 3]


def test_what_has_crashed_is_cleared_up_even_if_it_crashes_again() -> None:
    async def works() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        try:
            await asyncio.sleep(1)
        finally:
            loop.abort(SystemError("again"))
            await asyncio.sleep(0)
            ended.append(1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        tasks = [asyncio.create_task(works()) for _ in range(2)]
        await asyncio.sleep(0)
        loop.abort(ValueError("first"))
        await asyncio.wait(tasks)

    ended: list[int] = []
    with pytest.raises(ValueError, match="first"):
        run_seeded(None, main)
    assert ended == [1, 1]


def test_a_test_may_look_after_every_step() -> None:
    loop = SeededLoop(1)
    seen: list[int] = []
    loop.on_step = lambda: seen.append(loop.steps)
    loop.run(race())

    assert seen[:10] == list(range(1, 11))

    def refuse() -> None:
        assert loop.steps < 5, "too far"

    loop = SeededLoop(1)
    loop.on_step = refuse
    with pytest.raises(AssertionError, match="too far"):
        loop.run(race())


def test_threads_are_refused_in_it_and_nowhere_else() -> None:
    begin, came = threading.Event(), threading.Event()

    def elsewhere() -> None:
        begin.wait(10)
        threading.Thread(target=came.set).start()

    async def main() -> None:
        with pytest.raises(UnseededError, match="the thread 'AnyIO worker"):
            await anyio.to_thread.run_sync(time.time)
        begin.set()
        while not came.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0)

    outer = threading.Thread(target=elsewhere)
    outer.start()
    run_seeded(1, main)
    outer.join()
    threading.Thread(target=came.clear).start()


def test_what_reaches_outside_is_refused_with_a_word(tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(UnseededError, match="run_in_executor"):
            await loop.run_in_executor(None, time.time)
        with pytest.raises(UnseededError, match="create_connection"):
            await asyncio.open_connection("localhost", 1)
        with pytest.raises(UnseededError, match="add_signal_handler"):
            loop.add_signal_handler(1, print)
        with pytest.raises(UnseededError, match="MemoryLog"):
            async with SqliteLog(tmp_path / "log.db", Registry([])):
                pass

    run_seeded(1, main)


def test_another_thread_cannot_reach_in() -> None:
    loop = SeededLoop(1)
    errors: list[BaseException] = []

    def reach() -> None:
        try:
            loop.call_soon_threadsafe(print)
        except UnseededError as error:
            errors.append(error)

    thread = threading.Thread(target=reach)
    thread.start()
    thread.join()
    assert len(errors) == 1

    async def main() -> None:
        called = asyncio.Event()
        asyncio.get_running_loop().call_soon_threadsafe(called.set)
        await called.wait()

    loop.run(main())


def test_a_loop_runs_once_and_one_at_a_time() -> None:
    loop = SeededLoop(1)

    async def main() -> None:
        assert loop.is_running()
        with pytest.raises(RuntimeError, match="while another is running"):
            SeededLoop(1).run_forever()
        with pytest.raises(RuntimeError, match="Cannot close"):
            loop.close()

    loop.run(main())
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_forever()


def test_stopping_it_before_the_end_is_an_error() -> None:
    loop = SeededLoop(1)

    async def main() -> None:
        loop.stop()
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="stopped before"):
        loop.run(main())


def plain_task(
    loop: asyncio.AbstractEventLoop, coro: Any, **_: object
) -> asyncio.Task[Any]:
    return asyncio.Task(coro, loop=loop)


def test_tasks_may_be_made_otherwise() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(plain_task)
        assert loop.get_task_factory() is not None
        task = loop.create_task(race(), name="mine")
        assert sorted(await task) == ["a", "b", "c"]
        assert task.get_name() == "mine"

    run_seeded(1, main)


def test_a_log_in_memory_takes_the_time_of_the_loop() -> None:
    async def main() -> list[int]:
        log = MemoryLog(Registry([Happened]))
        await asyncio.sleep(7)
        appended = await log.append([StreamAppend("a/1", 0, (Happened(),))])
        [recorded] = await log.read(appended.position - 1)
        return [recorded.header.at, recorded.header.committed]

    start_us = 1_700_000_000_000_000
    assert run_seeded(5, main) == [start_us + 7_000_000] * 2


def test_wall_time_is_the_machine_s_outside_of_such_a_loop() -> None:
    async def main() -> int:
        return wall_us()

    for found in (wall_us(), asyncio.run(main())):
        assert abs(found - time.time_ns() // 1000) < 60_000_000


def note(seen: list[str], what: str) -> None:
    seen.append(what)


def test_callbacks_of_plain_functions_go_by_their_first_argument() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        loop.call_soon(note, seen, "a")
        loop.call_soon(note, seen, "b")
        loop.call_soon(partial(seen.append, "c"))
        loop.call_soon(time.time)
        await asyncio.sleep(1)
        return "".join(seen)

    assert set(run_seeds(range(30), main)) == {"abc", "acb", "cab"}


def test_every_process_runs_it_in_the_same_way() -> None:
    script = Path(__file__).parent / "digests.py"
    run = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.split() == [digest(seed) for seed in SEEDS]
