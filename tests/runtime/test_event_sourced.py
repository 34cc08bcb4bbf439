"""Event-sourced actors say nothing before it is durable, and come back from the log."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dramaturg.actors.runtime import (
    ActorStoppedError,
    ActorSystem,
    CommandRejectedError,
    EvolveError,
    Message,
    Origin,
    SystemClosedError,
    UnknownTagError,
)
from dramaturg.actors.runtime.journal import SETTLED_MAX
from dramaturg.events import Event, Registry
from dramaturg.events.log import EventLog, KeyTakenError, Snapshot
from dramaturg.events.log.encryption import Keyring
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.log.sqlite import SqliteLog

from .actors import (
    FOLD,
    REGISTRY,
    Account,
    Balance,
    Bank,
    Deposit,
    Deposited,
    Fail,
    Poisoned,
    Record,
    Withdraw,
    spec,
)
from .conftest import Logs, OnDisk


class Saving(Bank):
    """A bank that takes snapshots and counts what it replays."""

    snapshot_every = 10
    replayed: list[int]


async def started(system: ActorSystem) -> Any:
    return await system.spawn(spec("bank", Bank))


def bank_of(system: ActorSystem) -> Bank:
    actor = system.cell("/bank").actor
    assert isinstance(actor, Bank)
    return actor


@pytest.mark.asyncio
async def test_an_answer_waits_for_the_disk() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await started(system)
        log.hold()
        deposit, balance = bank.ask(Deposit(5)), bank.ask(Balance())
        refused = bank.ask(Withdraw(6))
        await system.settled()
        assert not deposit.done()
        assert not balance.done()
        assert not refused.done()

        log.release()

        assert await deposit == 5
        assert await balance == 5
        with pytest.raises(CommandRejectedError, match="5 is all there is"):
            await refused


@pytest.mark.asyncio
async def test_an_answer_the_disk_held_up_for_too_long_is_a_dead_message() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await started(system)
        log.hold()
        deposit = bank.ask(Deposit(5))
        await system.settled()
        deposit.cancel()
        log.release()

        assert await bank.ask(Balance()) == 5
        dead = [(each.reason, each.message) for each in system.dead_messages.latest]
        assert dead == [("late_reply", Deposit(5))]


@pytest.mark.asyncio
async def test_reactions_wait_for_the_disk_and_happen_in_order(logs: Logs) -> None:
    reactions: list[tuple[Event, Any]] = []
    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", lambda: Bank(reactions)))
        await asyncio.gather(*[bank.ask(Deposit(n)) for n in range(100)])
        await system.settled()

    assert reactions == [(Deposited(n), ("account/1", n + 1)) for n in range(100)]


@pytest.mark.asyncio
async def test_nobody_reacts_before_the_disk_has_answered() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await started(system)
        log.hold()
        for n in range(3):
            bank.tell(Deposit(n))
            await system.settled()  # lest they share an append
        assert bank_of(system).reactions == []
        log.release(2)
        await system.settled()

        assert [event for event, _ in bank_of(system).reactions] == [
            Deposited(0),
            Deposited(1),
        ]
        log.release()


@pytest.mark.asyncio
async def test_decisions_made_together_share_an_append_up_to_one_with_a_key() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await started(system)
        log.hold()
        for n in range(3):
            bank.tell(Deposit(n))
        alone = bank.ask(Deposit(3, "k"))
        bank.tell(Deposit(4))
        await system.settled()
        log.release(1)
        await system.settled()
        together = len(bank_of(system).reactions)
        log.release(1)
        await system.settled()
        assert alone.done()
        log.release()
        await system.settled()

        assert (together, len(bank_of(system).reactions)) == (3, 5)


@pytest.mark.asyncio
async def test_many_effects_take_several_turns() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await started(system)
        log.hold()
        for n in range(2 * SETTLED_MAX + 1):
            bank.tell(Deposit(n))
            await system.settled()  # lest they share an append
        log.release()
        await system.settled()

        reactions = [event for event, _ in bank_of(system).reactions]
        assert reactions == [Deposited(n) for n in range(2 * SETTLED_MAX + 1)]


@pytest.mark.asyncio
async def test_no_effect_follows_one_that_ended_this_life() -> None:
    log, lives = MemoryLog(REGISTRY), list[Bank]()

    class Breaking(Bank):
        def react(self, event: Event, ctx: Any) -> None:
            super().react(event, ctx)
            lives.append(self)
            log.fail()

    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Breaking))
        bank.tell(Deposit(1))
        bank.tell(Deposit(2))
        await system.settled()
        log.recover()
        await system.settled()

        assert [event for event, _ in lives[0].reactions] == [Deposited(1)]
        assert len(lives) == 1
        assert await bank.ask(Balance()) == 3


@pytest.mark.asyncio
async def test_state_comes_back_without_reactions(logs: Logs) -> None:
    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await started(system)
        await bank.ask(Deposit(7))
        await bank.ask(Withdraw(2))
    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await started(system)

        assert await bank.ask(Balance()) == 5
        assert bank_of(system).state == Account(5, 2)
        assert bank_of(system).resumed == [Account(5, 2)]
        assert bank_of(system).reactions == []


@pytest.mark.asyncio
async def test_a_start_reads_a_snapshot_and_what_came_after(logs: Logs) -> None:
    folded: list[Event] = []

    def evolve(state: Account, event: Event) -> Account:
        folded.append(event)
        return FOLD.evolve(state, event)

    class Counted(Saving):
        fold = msgspec.structs.replace(FOLD, evolve=evolve)

    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Counted))
        await asyncio.gather(*[bank.ask(Deposit(1)) for _ in range(25)])
        await bank.ask(Deposit(1))  # a group of its own: the snapshot goes with it
    folded.clear()
    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Counted))

        assert await bank.ask(Balance()) == 26
        assert len(folded) == 6


@pytest.mark.asyncio
async def test_a_snapshot_of_another_fold_is_not_read(logs: Logs) -> None:
    class Newer(Saving):
        fold = msgspec.structs.replace(FOLD, version=2)

    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Saving))
        for _ in range(12):
            await bank.ask(Deposit(1))
    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Newer))

        assert await bank.ask(Balance()) == 12
        assert bank_of(system).state.events == 12


@pytest.mark.asyncio
async def test_a_snapshot_that_cannot_be_read_is_passed_over() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Saving))
        await bank.ask(Deposit(3))
        await system.stop(bank)
        log.save_snapshot(Snapshot("account/1", 1, 1, FOLD.version, b"[]"))
        bank = await system.spawn(spec("bank", Saving))

        assert await bank.ask(Balance()) == 3


@pytest.mark.asyncio
async def test_an_unknown_event_in_its_own_stream_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    async with OnDisk(path, REGISTRY).open() as log, ActorSystem(log=log) as system:
        bank = await started(system)
        await bank.ask(Deposit(7))
        await bank.ask(Withdraw(2))
    old = OnDisk(path, Registry([Deposited]))
    async with old.open() as log, ActorSystem(log=log) as system:
        with pytest.raises(UnknownTagError, match=r"'account/1' .* at position 2"):
            await started(system)


@pytest.mark.asyncio
async def test_a_gap_in_its_stream_is_refused() -> None:
    class Torn(MemoryLog):
        async def read_stream(self, *args: Any, **options: Any) -> Any:
            return (await super().read_stream(*args, **options))[1:]

    log = Torn(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await started(system)
        await bank.ask(Record((Deposited(1), Deposited(2))))
        await system.stop(bank)
        with pytest.raises(Exception, match="version 2 at position 2 where 1 was due"):
            await started(system)


@pytest.mark.asyncio
async def test_a_fold_that_fails_stops_the_actor_and_names_the_event() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await started(system)
        await bank.ask(Deposit(1))
        with pytest.raises(EvolveError, match=r"'account\.poisoned' at version 2"):
            await bank.ask(Record((Poisoned(),)))
        with pytest.raises(ActorStoppedError):
            await bank.ask(Balance())
        assert log.position == 1


@pytest.mark.asyncio
async def test_a_refused_command_changes_nothing(logs: Logs) -> None:
    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await started(system)
        with pytest.raises(CommandRejectedError, match="0 is all there is"):
            await bank.ask(Withdraw(1))

        assert log.position == 0
        assert system.cell("/bank").restarts == 0


@pytest.mark.asyncio
async def test_a_taken_key_is_told_to_its_asker_alone(logs: Logs) -> None:
    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await started(system)
        first = bank.ask(Deposit(1, "a"))
        again = bank.ask(Deposit(10, "a"))
        after = bank.ask(Deposit(100, "b"))
        balance = bank.ask(Balance())

        assert await first == 1
        with pytest.raises(KeyTakenError):
            await again
        assert await after == 101
        assert await balance == 101
        assert system.cell("/bank").restarts == 0
    async with logs.open() as log, ActorSystem(log=log) as system:
        assert await (await started(system)).ask(Balance()) == 101


@pytest.mark.asyncio
async def test_a_failure_keeps_what_is_durable_and_answers_the_truth() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await started(system)
        log.hold()
        written = bank.ask(Deposit(1))
        await system.settled()  # lest they share an append
        lost = bank.ask(Deposit(2))
        stands_on_lost = bank.ask(Balance())
        await system.settled()
        log.release(1)
        bank.tell(Fail())
        await system.settled()
        log.release()

        assert await written == 1
        with pytest.raises(ValueError, match="Account"):
            await lost
        with pytest.raises(ValueError, match="Account"):
            await stands_on_lost
        assert await bank.ask(Balance()) == 1
        assert system.cell("/bank").restarts == 1


@pytest.mark.asyncio
async def test_a_reaction_that_fails_has_the_actor_rebuilt(logs: Logs) -> None:
    class Fragile(Bank):
        def react(self, event: Event, ctx: Any) -> None:
            super().react(event, ctx)
            if event == Deposited(13):
                raise ValueError(event)

    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Fragile))
        await bank.ask(Deposit(13))
        await system.settled()

        assert await bank.ask(Balance()) == 13
        assert system.cell("/bank").restarts == 1
        assert bank_of(system).resumed == [Account(13, 1)]


@pytest.mark.asyncio
async def test_a_stop_waits_for_what_is_being_written() -> None:
    log = MemoryLog(REGISTRY)
    reactions: list[tuple[Event, Any]] = []
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", lambda: Bank(reactions)))
        log.hold()
        deposit = bank.ask(Deposit(1))
        await system.settled()
        stop = asyncio.ensure_future(system.stop(bank))
        await system.settled()
        assert not stop.done()
        log.release()
        await stop

        assert await deposit == 1
    assert len(reactions) == 1


@pytest.mark.asyncio
async def test_events_know_where_their_command_came_from(logs: Logs) -> None:
    origin = Origin(corr="c-1", by="ada", owner="bob", cause=("item/1", 7))
    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await started(system)
        await bank.ask(Deposit(1), origin=origin)
        (recorded,) = await log.read()

    header = recorded.header
    assert (header.corr, header.by, header.owner) == ("c-1", "ada", "bob")
    assert header.cause == ("item/1", 7)
    assert header.at > 0


@pytest.mark.asyncio
async def test_what_a_reaction_causes_knows_it(logs: Logs) -> None:
    class Mirror(Bank):
        def react(self, event: Event, ctx: Any) -> None:
            if event == Deposited(1):
                ctx.self.tell(Deposit(2))

    async with logs.open() as log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Mirror))
        await bank.ask(Deposit(1), origin=Origin(corr="c-1"))
        await settled_on(log, 2)
        _, second = await log.read()

    assert second.header.cause == ("account/1", 1)
    assert second.header.corr == "c-1"


async def settled_on(log: EventLog, position: int) -> None:
    """Wait for the log."""
    reached = asyncio.Event()
    off = log.on_commit(lambda at: reached.set() if at >= position else None)
    if log.position < position:
        await reached.wait()
    off()


@pytest.mark.asyncio
async def test_without_a_log_no_event_sourced_actor_starts() -> None:
    async with ActorSystem() as system:
        with pytest.raises(SystemClosedError, match="give ActorSystem"):
            await started(system)


@pytest.mark.asyncio
async def test_an_actor_that_does_not_decide_fails_with_its_first_command() -> None:
    class Undecided(Bank):
        def decide(self, state: Account, command: Message, ctx: Any) -> Any:
            return super(Bank, self).decide(state, command, ctx)

    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Undecided))
        with pytest.raises(NotImplementedError):
            await bank.ask(Balance())


@pytest.mark.asyncio
async def test_plain_reactions_and_resumption_do_nothing() -> None:
    class Quiet(Bank):
        react = Bank.__base__.react  # type: ignore[union-attr]  # the default
        resume = Bank.__base__.resume  # type: ignore[union-attr]  # likewise

    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Quiet))

        assert await bank.ask(Deposit(1)) == 1
        assert bank_of(system).resumed == []


@pytest.mark.asyncio
async def test_an_actor_passes_over_what_was_erased_and_goes_on(tmp_path: Path) -> None:
    keys = await asyncio.to_thread(Keyring, tmp_path / "keys.jsonl")
    path = tmp_path / "log.sqlite"
    async with (
        SqliteLog(path, REGISTRY, keyring=keys) as log,
        ActorSystem(log=log) as system,
    ):
        bank = await system.spawn(spec("bank", Saving))
        for number in range(11):  # with a snapshot on the way
            who = Origin(owner="ann" if number < 6 else "bob")
            await bank.ask(Deposit(1), origin=who)
    await asyncio.to_thread(keys.destroy, "ann")
    await asyncio.to_thread(keys.destroy, "")
    async with (
        SqliteLog(path, REGISTRY, keyring=keys) as log,
        ActorSystem(log=log) as system,
    ):
        bank = await system.spawn(spec("bank", Saving))
        assert await bank.ask(Balance()) == 5
        assert await bank.ask(Deposit(1)) == 6
        head = await log.head("account/1")
        assert head is not None
        assert head.version == 12
