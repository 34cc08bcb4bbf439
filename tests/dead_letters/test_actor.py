"""The actor of a queue on a log in memory, with time in the test's hands."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
import pytest

from dramaturg.actors.dead_letters import (
    Adopt,
    CancelRedrive,
    Claim,
    DeadLetterActor,
    DeadLetterRefusedError,
    Discard,
    EntryNotFoundError,
    Escalate,
    Gate,
    GetStatistics,
    HasRoom,
    ListEntries,
    Note,
    QueuePolicy,
    Redrive,
    Release,
    Resolve,
    Selection,
    Statistics,
    TakeBack,
    park,
)
from dramaturg.actors.dead_letters.entry import FOLD
from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    ChildSpec,
    Later,
    ManualClock,
    Ref,
    handles,
)
from dramaturg.events import Event
from dramaturg.events.dead_letters import Expired, Parked, Returned, Strategy
from dramaturg.events.log import EventLog, StreamAppend
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.vocabulary import vocabulary

pytestmark = pytest.mark.asyncio

POLICY = QueuePolicy(
    entries_max=3,
    retry=RetryPolicy(base_s=300.0, cap_s=3600.0, jitter=False),
)


class Useless(Ask[None]):
    """Nothing a queue knows."""


class Owner(Actor):
    """Takes work back as a pipeline would, or behaves badly on command."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.asked: list[TakeBack] = []
        self.refuses = False
        self.loses_answers = 0
        self.owed: list[Later] = []

    @handles
    async def take_back(self, message: TakeBack) -> bool:
        self.asked.append(message)
        if self.refuses:
            return False
        head = await self.log.head(message.entry)
        if head is not None and head.version == message.version:
            returned = (Returned(at_us=0),)
            await self.log.append(
                [StreamAppend(message.entry, message.version, returned)]
            )
        if self.loses_answers:
            self.loses_answers -= 1
            self.owed.append(self.ctx.later())
        return True


class House:
    def __init__(
        self, log: EventLog, system: ActorSystem, clock: ManualClock, owner: Owner
    ) -> None:
        self.log = log
        self.system = system
        self.clock = clock
        self.owner = owner
        self.gate = Gate()
        self.queue: Ref

    async def park(
        self,
        name: str,
        *,
        strategy: Strategy = "exponential",
        tell: bool = True,
        message: str = "no",
    ) -> str:
        stream = f"dead-letter/q/{name}"
        event = park(
            item=f"item/p/{name}",
            item_version=3,
            pipeline="p",
            stage="s",
            error="OSError",
            message=message,
            at_us=self.clock.now_us(),
            attempts=3,
            strategy=strategy,
            target="db",
        )
        await self.log.append([StreamAppend(stream, 0, (event,))])
        if tell:
            self.queue.tell(Adopt(stream, (event,)))
            await self.system.settled()
        return stream

    async def wait(self, seconds: float) -> None:
        """Let time pass, from one alarm to the next."""
        until_s = self.clock.now_s() + seconds
        await self.system.settled()
        while (next_s := self.clock.next_s) is not None:
            if self.clock.now_s() + next_s > until_s:
                break
            self.clock.advance(next_s)
            for _ in range(5):
                await self.system.settled()
        self.clock.advance(until_s - self.clock.now_s())

    async def place(self, stream: str) -> str:
        state = FOLD.initial(stream)
        for recorded in await self.log.read_stream(stream):
            assert isinstance(recorded.event, Event)
            state = FOLD.evolve(state, recorded.event)
        return state.place

    async def numbers(self) -> Statistics:
        return await self.queue.ask(GetStatistics())


@asynccontextmanager
async def house(
    *,
    log: EventLog | None = None,
    policy: QueuePolicy = POLICY,
    clock: ManualClock | None = None,
) -> AsyncGenerator[House, None]:
    log = log or MemoryLog(vocabulary())
    clock = clock or ManualClock()
    owner = Owner(log)
    async with ActorSystem(log=log, clock=clock, seed=1) as system:
        one = House(log, system, clock, owner)
        await system.spawn(ChildSpec(id="pipelines", factory=Actor))
        parent = system.cell("/pipelines")
        await system.spawn(ChildSpec(id="p", factory=Actor), parent)
        spec = ChildSpec(id="items", factory=lambda: owner)
        await system.spawn(spec, system.cell("/pipelines/p"))
        spec = DeadLetterActor.spec("q", policy, gate=lambda _target: one.gate)
        one.queue = await system.spawn(spec)
        yield one


async def test_parked_work_is_redriven_when_its_time_has_come() -> None:
    async with house() as one:
        stream = await one.park("1")
        assert (await one.numbers()).size == 1

        await one.wait(299)
        assert one.owner.asked == []
        await one.wait(302)

        assert await one.place(stream) == "returned"
        assert (await one.numbers()).returned == 1
        assert (await one.numbers()).size == 0


async def test_redrives_wait_for_the_breaker_and_then_ramp_up() -> None:
    async with house(policy=msgspec.structs.replace(POLICY, entries_max=9)) as one:
        one.gate = Gate("open")
        for number in range(6):
            await one.park(str(number))
        await one.wait(3600)
        assert one.owner.asked == []

        one.gate = Gate("half_open", 1)
        await one.wait(300)
        assert len(one.owner.asked) == 1
        one.gate = Gate()
        await one.wait(300)
        assert len(one.owner.asked) == 3
        await one.wait(300)
        assert len(one.owner.asked) == 6


async def test_everything_is_redriven_by_hand_at_a_rate_after_a_dry_run() -> None:
    async with house() as one:
        for number in range(3):
            await one.park(str(number), strategy="none")
        dry = await one.queue.ask(Redrive(dry_run=True))
        assert len(dry.entries) == 3
        await one.wait(10)
        assert one.owner.asked == []

        done = await one.queue.ask(Redrive(per_s=0.1, reason="disk replaced"))
        assert done.last_due_us - one.clock.now_us() == 20_000_000
        await one.wait(1)
        assert len(one.owner.asked) == 1
        await one.wait(11)
        assert len(one.owner.asked) == 2

        assert await one.queue.ask(CancelRedrive(done.batch, "enough")) == 1
        await one.wait(60)
        assert len(one.owner.asked) == 2


async def test_one_is_redriven_with_an_edited_payload() -> None:
    async with house() as one:
        stream = await one.park("1", strategy="manual")
        await one.park("2", strategy="manual")
        edited = msgspec.Raw(b'{"right":1}')
        with pytest.raises(DeadLetterRefusedError, match="2 are selected"):
            await one.queue.ask(Redrive(payload=edited))

        await one.queue.ask(Redrive(Selection(entries=(stream,)), payload=edited))
        await one.wait(1)

        (asked,) = one.owner.asked
        assert (asked.entry, asked.payload) == (stream, edited)
        assert (asked.item, asked.item_version) == ("item/p/1", 3)
        assert await one.place(stream) == "returned"


async def test_work_its_owner_does_not_want_stays_for_a_person() -> None:
    async with house() as one:
        one.owner.refuses = True
        stream = await one.park("1")
        await one.queue.ask(Redrive())
        await one.wait(1)

        (entry,) = await one.queue.ask(ListEntries())
        assert entry.place == "parked"
        assert "did not take" in entry.escalated
        assert (
            await one.queue.ask(Resolve(Selection(entries=(stream,)), "by hand")) == 1
        )
        assert await one.place(stream) == "resolved"


async def test_a_lost_answer_is_asked_for_again() -> None:
    async with house() as one:
        one.owner.loses_answers = 1
        stream = await one.park("1")
        await one.queue.ask(Redrive())
        await one.wait(1)
        assert (await one.numbers()).redriving == 1

        await one.wait(700)

        assert len(one.owner.asked) == 2
        assert await one.place(stream) == "returned"
        assert (await one.numbers()).size == 0


async def test_work_taken_back_without_a_word_is_let_go() -> None:
    async with house() as one:
        one.owner.loses_answers = 1
        await one.park("1")
        await one.queue.ask(Redrive())
        await one.wait(1)
        one.owner.refuses = True
        await one.wait(700)

        assert (await one.numbers()).size == 0


async def test_a_redrive_under_way_is_resumed_after_a_restart() -> None:
    log, clock = MemoryLog(vocabulary()), ManualClock()
    async with house(log=log, clock=clock) as one:
        one.owner.loses_answers = 1
        one.owner.refuses = False
        stream = await one.park("1")
        waiting = await one.park("2")
        await one.queue.ask(Redrive(Selection(entries=(stream,))))
    async with house(log=log.reopened(), clock=clock) as one:
        await one.wait(1)
        assert await one.place(stream) == "returned"
        await one.wait(900)
        assert await one.place(waiting) == "returned"


async def test_a_full_queue_evicts_its_oldest() -> None:
    async with house() as one:
        streams = [await one.park(str(number)) for number in range(5)]

        places = [await one.place(stream) for stream in streams]
        assert places == ["evicted", "evicted", "parked", "parked", "parked"]
        numbers = await one.numbers()
        assert (numbers.size, numbers.parked, numbers.evicted) == (3, 5, 2)


async def test_a_full_queue_can_refuse_instead() -> None:
    policy = msgspec.structs.replace(POLICY, limit="reject_new")
    async with house(policy=policy) as one:
        await one.park("1")
        rooms = [await one.queue.ask(HasRoom(f"item/p/{n}")) for n in (2, 3, 4)]
        assert rooms == [True, True, False]
        assert (await one.numbers()).reserved == 2

        streams = [await one.park(str(number)) for number in (2, 3, 4)]
        assert [await one.place(stream) for stream in streams] == ["parked"] * 3


async def test_entries_expire_and_the_forgotten_are_found() -> None:
    async with house() as one:
        old = await one.park("1", strategy="none")
        claimed = await one.park("2", strategy="none")
        await one.queue.ask(Claim(claimed))
        await one.wait(8 * 86_400 - 3600)
        forgotten = await one.park("3", strategy="none", tell=False)
        await one.wait(7200)

        assert await one.place(old) == "expired"
        assert await one.place(claimed) == "parked"
        (last,) = (await one.log.read_stream(old))[-1:]
        assert isinstance(last.event, Expired)
        known = {entry.stream for entry in await one.queue.ask(ListEntries())}
        assert known == {claimed, forgotten}


async def test_people_look_into_entries() -> None:
    async with house() as one:
        stream = await one.park("1", message="password=hunter2")
        assert await one.queue.ask(Claim(stream, "mine"))
        assert await one.queue.ask(Note(stream, "looks odd"))
        assert await one.queue.ask(Escalate(stream, "help"))
        (entry,) = await one.queue.ask(ListEntries())
        assert (entry.claimed_by, entry.notes, entry.escalated) == (
            "unknown",
            1,
            "help",
        )
        assert "hunter2" not in entry.message
        await one.wait(900)
        assert one.owner.asked == []

        assert await one.queue.ask(Release(stream))
        assert not await one.queue.ask(Release(stream))
        numbers = await one.numbers()
        assert (numbers.claimed, numbers.escalated) == (0, 1)
        assert numbers.by_category == {"unknown": 1}
        assert numbers.oldest_age_s == 900


async def test_work_is_discarded_with_a_reason() -> None:
    async with house() as one:
        stream = await one.park("1")
        with pytest.raises(DeadLetterRefusedError, match="without a reason"):
            await one.queue.ask(Discard(Selection(), ""))
        assert await one.queue.ask(Discard(Selection(stage="s"), "test data")) == 1
        assert await one.place(stream) == "discarded"
        numbers = await one.numbers()
        assert (numbers.discarded, numbers.size) == (1, 0)


async def test_what_is_not_there_or_not_understood_is_refused() -> None:
    async with house() as one:
        with pytest.raises(EntryNotFoundError):
            await one.queue.ask(Note("dead-letter/q/none", "x"))
        with pytest.raises(EntryNotFoundError):
            await one.queue.ask(Redrive(Selection(entries=("dead-letter/q/none",))))
        with pytest.raises(DeadLetterRefusedError, match="no use"):
            await one.queue.ask(Useless())


async def test_an_announcement_may_come_twice_or_too_late() -> None:
    async with house() as one:
        stream = await one.park("1")
        parked = (await one.log.read_stream(stream))[0].event
        assert isinstance(parked, Parked)
        one.queue.tell(Adopt(stream, (parked,)))
        one.queue.tell(Adopt("dead-letter/q/9", (parked, Returned(at_us=0))))

        numbers = await one.numbers()
        assert (numbers.size, numbers.parked) == (1, 1)


async def test_an_owner_that_is_away_is_asked_again() -> None:
    async with house() as one:
        stream = await one.park("1")
        await one.system.stop(one.system.ref("/pipelines/p/items"))
        await one.queue.ask(Redrive())
        await one.wait(1)
        assert await one.place(stream) == "redriving"

        parent = one.system.cell("/pipelines/p")
        spec = ChildSpec(id="items", factory=lambda: Owner(one.log))
        await one.system.spawn(spec, parent)
        await one.wait(600)

        assert await one.place(stream) == "returned"
