"""A mailbox has a bound, and a policy there."""

import asyncio

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Mailbox,
    MailboxFullError,
    handles,
)
from dramaturg.actors.runtime.mailbox import Policy

from .actors import Add, Counter, Get, GetSlowly, spec


def small(policy: Policy) -> Mailbox:
    return Mailbox(capacity=3, policy=policy)


@pytest.mark.asyncio
async def test_a_full_mailbox_refuses_by_default() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter, small("reject")))
        for _ in range(3):
            counter.tell(Add())
        with pytest.raises(MailboxFullError, match=r"/counter is full \(3 messages\)"):
            counter.tell(Add(100))
        refused = counter.ask(Get())

        with pytest.raises(MailboxFullError):
            await refused
        await system.settled()
        assert await counter.ask(Get()) == 3


@pytest.mark.asyncio
async def test_the_bound_counts_what_was_taken_out_and_not_worked_off() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter, small("reject")))
        slow = counter.ask(GetSlowly())
        counter.tell(Add())
        counter.tell(Add())
        await asyncio.sleep(0)
        counter.tell(Add())
        with pytest.raises(MailboxFullError):
            counter.tell(Add())

        await slow
        await system.settled()
        assert await counter.ask(Get()) == 3


@pytest.mark.asyncio
async def test_the_new_message_can_be_dropped() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter, small("drop_new")))
        for n in (1, 2, 3, 100):
            counter.tell(Add(n))

        await system.settled()
        assert await counter.ask(Get()) == 6
        assert system.dead_messages.counts["mailbox_full"] == 1


@pytest.mark.asyncio
async def test_the_oldest_message_can_be_dropped() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter, small("drop_oldest")))
        oldest = counter.ask(GetSlowly())
        for n in (1, 2, 3, 4, 5):
            counter.tell(Add(n))
        await oldest
        await system.settled()

        assert await counter.ask(Get()) == 3 + 4 + 5
        assert system.dead_messages.counts["mailbox_full"] == 2


@pytest.mark.asyncio
async def test_the_oldest_is_dropped_from_what_was_taken_out_as_well() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter, small("drop_oldest")))
        counter.tell(Add(1))
        slow = counter.ask(GetSlowly(5))
        counter.tell(Add(10))
        await asyncio.sleep(0)
        for _ in range(3):
            counter.tell(Add(100))
        await slow
        await system.settled()

        assert await counter.ask(Get()) == 301


@pytest.mark.asyncio
async def test_a_sender_can_wait_for_room() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter, small("wait")))
        for _ in range(20):
            await counter.offer(Add())
        await system.settled()
        for _ in range(3):
            counter.tell(Add())
        with pytest.raises(MailboxFullError):
            counter.tell(Add())

        await system.settled()
        assert await counter.ask(Get()) == 23


@pytest.mark.asyncio
async def test_who_waits_for_room_of_a_stopped_actor_waits_no_more() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter, small("wait")))
        for _ in range(3):
            counter.tell(Add())
        offer = asyncio.ensure_future(counter.offer(Add()))
        await system.stop(counter)
        await offer

        assert system.dead_messages.counts["stopped"] == 4


class Names(Actor):
    def __init__(self) -> None:
        self.names: list[int] = []

    @handles
    def add(self, message: Add) -> None:
        self.names.append(message.n)

    @handles
    async def get(self, message: GetSlowly) -> int:
        for _ in range(message.steps):
            await asyncio.sleep(0)
        return 0


@pytest.mark.asyncio
async def test_who_waits_for_room_is_served_in_order() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("names", Names, small("wait")))
        busy = ref.ask(GetSlowly(5))
        offers = [asyncio.ensure_future(ref.offer(Add(n))) for n in range(20)]
        await busy
        await system.settled()
        await asyncio.gather(*offers)
        await system.settled()

        actor = system.cell("/names").actor
        assert isinstance(actor, Names)
        assert actor.names == list(range(20))


@pytest.mark.asyncio
async def test_who_waits_for_room_no_longer_leaves_the_queue() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("names", Names, small("wait")))
        busy = ref.ask(GetSlowly(50))
        offers = [asyncio.ensure_future(ref.offer(Add(n))) for n in range(8)]
        for _ in range(5):
            await asyncio.sleep(0)
        cell = system.cell("/names")
        assert cell.waiting is not None
        assert len(cell.waiting.places) == 5
        for n in (3, 5, 6):
            offers[n].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(cell.waiting.places) == 2
        await busy
        await asyncio.wait(offers)
        await system.settled()

        assert isinstance(cell.actor, Names)
        assert cell.actor.names == [0, 1, 2, 4, 7]
        assert cell.waiting is None


@pytest.mark.asyncio
async def test_a_turn_that_its_holder_did_not_take_is_the_next_ones() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("names", Names, Mailbox(1, "wait")))
        busy = ref.ask(GetSlowly(50))
        ref.tell(Add(0))
        offers = [asyncio.ensure_future(ref.offer(Add(n))) for n in (1, 2)]
        await asyncio.sleep(0)
        cell = system.cell("/names")
        cell.take_all()
        cell.notify()
        offers[0].cancel()  # it has just been woken
        await asyncio.wait(offers)
        await busy
        await system.settled()

        assert isinstance(cell.actor, Names)
        assert cell.actor.names == [2]


@pytest.mark.asyncio
async def test_who_was_woken_and_finds_no_room_keeps_the_first_place() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("names", Names, Mailbox(1, "wait")))
        busy = ref.ask(GetSlowly(50))
        ref.tell(Add(0))
        offers = [asyncio.ensure_future(ref.offer(Add(n))) for n in (1, 2)]
        await asyncio.sleep(0)
        cell = system.cell("/names")
        cell.take_all()
        cell.notify()
        ref.tell(Add(9))  # it is faster
        await busy
        await asyncio.wait(offers)
        await system.settled()

        assert isinstance(cell.actor, Names)
        assert cell.actor.names == [9, 1, 2]


@pytest.mark.asyncio
async def test_whoever_still_waits_for_room_at_the_end_waits_no_more() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("names", Names, Mailbox(1, "wait")))
        busy = ref.ask(GetSlowly(20))
        offers = [asyncio.ensure_future(ref.offer(Add(n))) for n in range(5)]
        await asyncio.sleep(0)
        await asyncio.gather(system.stop(ref), busy, *offers)

        assert system.dead_messages.counts == {"stopped": 5}


class Chatty(Counter):
    """Tells itself `n` more for each message."""

    @handles
    def add(self, message: Add) -> None:
        self.count += 1
        for _ in range(message.n):
            self.ctx.self.tell(Add(0))


@pytest.mark.asyncio
async def test_the_bound_is_exact_while_a_batch_is_worked_off() -> None:
    async with ActorSystem() as system:
        mailbox = Mailbox(capacity=4)
        chatty = await system.spawn(spec("chatty", Chatty, mailbox))
        for _ in range(3):
            chatty.tell(Add(1))
        await system.settled()

        assert await chatty.ask(Get()) == 6


@pytest.mark.asyncio
async def test_the_last_of_a_batch_may_drop_what_came_since() -> None:
    async with ActorSystem() as system:
        chatty = await system.spawn(spec("chatty", Chatty, small("drop_oldest")))
        for n in (0, 0, 5):
            chatty.tell(Add(n))
        await system.settled()

        assert await chatty.ask(Get()) == 6
        assert system.dead_messages.counts["mailbox_full"] == 2


def test_a_mailbox_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity=0"):
        Mailbox(capacity=0)
