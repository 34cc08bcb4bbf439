"""A pipeline with the real breaker and the real dead letter queue beside it."""

import pytest

from dramaturg.actors.breakers import BreakerConfig
from dramaturg.actors.breakers.registry import Breakers
from dramaturg.actors.dead_letters import (
    DeadLetterActor,
    GetStatistics,
    QueuePolicy,
    Redrive,
    Selection,
)
from dramaturg.actors.pipelines import Stage
from dramaturg.actors.retries import InvalidInputError, RetryPolicy
from dramaturg.events.dead_letters import Returned

from .stand import Actions, pipeline, stand

STEADY = RetryPolicy(strategy="fixed", base_s=10.0, jitter=False, attempts_max=9)


@pytest.mark.asyncio
async def test_an_item_is_parked_redriven_and_done() -> None:
    async with stand() as s:
        queue = await s.system.spawn(DeadLetterActor.spec("mail", QueuePolicy()))
        read = Actions(InvalidInputError("no pages"))
        declared = pipeline(
            Stage("store", Actions()),
            Stage("read", read),
            dead_letters="mail",
            asks_for_room=True,
        )
        await s.start(declared, dead_letters=queue)
        item = await s.submit()
        assert await s.place(item) == "dead_lettered"
        assert (await queue.ask(GetStatistics())).size == 1

        await queue.ask(Redrive(Selection(), reason="the reader was mended"))
        await s.advance(60)

        assert await s.place(item) == "done"
        assert (await queue.ask(GetStatistics())).size == 0
        entry = await s.log.read_stream(f"dead-letter/mail/{item}")
        assert isinstance(entry[-1].event, Returned)


@pytest.mark.asyncio
async def test_a_tripped_breaker_puts_attempts_off_until_it_lets_them_pass() -> None:
    async with stand() as s:
        breakers = Breakers(s.system)
        config = BreakerConfig.from_dict(
            {"window": "consecutive", "failures_max": 2, "cooldown_s": 60.0},
        )
        breaker = await breakers.open("graph-db", config)
        down = [ConnectionError("refused")] * 2
        store = Actions(*down)
        stage = Stage("store", store, retry=STEADY, breaker="graph-db", concurrency=2)
        await s.start(pipeline(stage), breakers=breakers)
        items = [await s.submit(n) for n in range(6)]
        assert breaker.refusal() is not None
        for _ in range(6):
            await s.advance(30)

        assert [await s.place(item) for item in items] == ["done"] * 6
        put_off = [await s.tags(item) for item in items]
        assert any("put_off" in tags for tags in put_off)
        assert max(work.attempt for work in store.calls) == 2
