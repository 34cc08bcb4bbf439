"""The full-text index: each document once, found by its words."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from dramaturg.actors.retries import Classifier
from dramaturg.applications.documents import dedicated_thread
from dramaturg.applications.documents.dedicated_thread import (
    DedicatedThread,
    ThreadBusyError,
    ThreadHungError,
)
from dramaturg.applications.documents.index import (
    Indexed,
    IndexUnavailableError,
    open_index,
)

pytestmark = pytest.mark.asyncio
SNAIL = Indexed("snail", "text", "About snails", "digest")


async def test_a_document_is_found_by_its_words(tmp_path: Path) -> None:
    async with open_index(tmp_path / "deep" / "index.sqlite") as index:
        await index.put(SNAIL, "The snail crawls over Straßen and cafés, slowly.")
        await index.put(Indexed("ant", "text", "About ants", "d"), "The ant runs.")

        (hit,) = await index.find("Crawls CAFES")
        assert hit.key == "snail"
        assert hit.snippet == "The snail [crawls] over Straßen and [cafés], slowly."
        assert {hit.key for hit in await index.find("the")} == {"snail", "ant"}
        assert len(await index.find("the", hits_max=1)) == 1
        assert await index.find("elephant") == ()
        assert await index.find("  ") == ()
        assert await index.find('snail" OR "ant') == ()


async def test_a_document_is_indexed_exactly_once(tmp_path: Path) -> None:
    async with open_index(tmp_path / "index.sqlite") as index:
        for _ in range(3):
            await index.put(SNAIL, "one body")
        again = Indexed("snail", "text", "About snails", "other digest")
        await index.put(again, "another body")

        assert await index.count() == 1
        assert await index.get("snail") == (again, "another body")
        assert await index.find("one") == ()


async def test_a_document_can_be_taken_out(tmp_path: Path) -> None:
    async with open_index(tmp_path / "index.sqlite") as index:
        await index.put(SNAIL, "body")
        await index.remove("snail")
        await index.remove("snail")

        assert await index.count() == 0
        assert await index.get("snail") is None
        assert await index.find("body") == ()


async def test_what_is_indexed_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    async with open_index(tmp_path / "index.sqlite") as index:
        await index.put(SNAIL, "body")
    async with open_index(tmp_path / "index.sqlite") as index:
        assert await index.get("snail") == (SNAIL, "body")


async def test_a_failing_index_is_worth_another_try(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    async with open_index(path) as index:
        connection = sqlite3.connect(path)
        connection.execute("DROP TABLE documents")
        connection.close()

        with pytest.raises(IndexUnavailableError, match="no such table") as caught:
            await index.put(SNAIL, "body")
        with pytest.raises(IndexUnavailableError):
            await index.count()

    assert Classifier().classify(caught.value).error_class == "transient"


async def test_a_file_that_is_no_index_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"x" * 5000)

    with pytest.raises(IndexUnavailableError, match="not a database"):
        async with open_index(tmp_path / "index.sqlite"):
            pass


async def test_a_thread_takes_its_calls_in_turn_and_up_to_a_limit() -> None:
    thread = DedicatedThread("the test", waiting_max=2)
    gate = threading.Event()
    order: list[str] = []

    def work(name: str) -> str:
        gate.wait(10)
        order.append(f"{name} in {threading.current_thread().name}")
        return name

    first = asyncio.ensure_future(thread.run(work, "first"))
    second = asyncio.ensure_future(thread.run(work, "second"))
    await asyncio.sleep(0)
    with pytest.raises(ThreadBusyError, match="2 calls wait for the test"):
        await thread.run(work, "third")
    gate.set()

    assert [await first, await second] == ["first", "second"]
    assert order == ["first in the test_0", "second in the test_0"]
    await thread.close()


async def test_a_call_that_does_not_come_back_is_named_and_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread, began, gate = (
        DedicatedThread("the test"),
        asyncio.Event(),
        threading.Event(),
    )
    loop, done = asyncio.get_running_loop(), list[str]()

    def hang() -> None:
        loop.call_soon_threadsafe(began.set)
        gate.wait(100)

    hung = asyncio.ensure_future(thread.run(hang))
    await began.wait()
    thread.require_alive()
    monkeypatch.setattr(dedicated_thread, "HUNG_S", 0.0)
    with pytest.raises(ThreadHungError, match="the test has not come back for"):
        thread.require_alive()
    with pytest.raises(ThreadBusyError, match="1 calls wait"):
        await thread.run(done.append, "refused")
    await thread.finish(lambda: done.append("last"))
    await thread.close()

    assert not hung.done()
    gate.set()
    await hung
    assert done == []


async def test_a_caller_that_gives_up_before_its_turn_leaves_no_trace() -> None:
    thread = DedicatedThread("the test")
    gate, done = threading.Event(), list[str]()
    first = asyncio.ensure_future(thread.run(gate.wait, 10))
    second = asyncio.ensure_future(thread.run(done.append, "second"))
    await asyncio.sleep(0)

    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await asyncio.sleep(0)
    gate.set()

    assert await first
    await thread.finish(lambda: done.append("last"))
    assert done == ["last"]
    await thread.close()
