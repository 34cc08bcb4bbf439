"""The owner of many streams writes them together and keeps what derives from them."""

import asyncio
from typing import Any

import msgspec
import pytest

from dramaturg.actors.runtime import (
    ActorSystem,
    CommandRejectedError,
    Origin,
    StreamOwner,
)
from dramaturg.events import Event
from dramaturg.events.log import (
    Context,
    EventLog,
    KeyTakenError,
    StreamAppend,
    VersionConflictError,
)
from dramaturg.events.log.memory import MemoryLog

from .actors import (
    REGISTRY,
    Abroad,
    Account,
    Adopt,
    Balance,
    Branch,
    Closed,
    Deposit,
    Deposited,
    Record,
    Release,
    Reopen,
    Transfer,
    Withdraw,
    Withdrawn,
    spec,
)
from .conftest import Logs

NOW = Context(at_us=1)


async def started(system: ActorSystem, factory: type[Branch] = Branch) -> Any:
    return await system.spawn(spec("branch", factory))


def branch_of(system: ActorSystem) -> Branch:
    actor = system.cell("/branch").actor
    assert isinstance(actor, Branch)
    return actor


def check(branch: Branch) -> None:
    """What is derived must be what can be derived."""
    assert branch.sum == sum(state.balance for state in branch.states.values())


@pytest.mark.asyncio
async def test_a_long_stream_is_read_from_its_snapshot_and_a_short_one_whole(
    logs: Logs,
) -> None:
    folded: list[Event] = []

    def evolve(state: Account, event: Event) -> Account:
        folded.append(event)
        return Branch.fold.evolve(state, event)

    class Saving(Branch):
        fold = msgspec.structs.replace(Branch.fold, evolve=evolve)
        snapshot_every = 10

    async with logs.open() as log, ActorSystem(log=log) as system:
        branch = await started(system, Saving)
        asks = [Deposit(1, name=name) for name in ("long", "short") for _ in range(9)]
        await asyncio.gather(*map(branch.ask, asks))
        await branch.ask(Transfer(2, "long", "other"))
        await asyncio.gather(*[branch.ask(Deposit(1, name="long")) for _ in range(3)])
        lived = dict(branch_of(system).states)
    folded.clear()
    async with logs.open() as log, ActorSystem(log=log) as system:
        await started(system, Saving)

        assert branch_of(system).states == lived
        assert branch_of(system).version("account/long") == 13
        assert len(folded) == 3 + 9 + 1
        assert await log.snapshot("account/short", Branch.fold.version) is None


@pytest.mark.asyncio
async def test_a_stream_that_is_read_from_its_snapshot_is_still_its_owners(
    logs: Logs,
) -> None:
    class Saving(Branch):
        snapshot_every = 2

    async with logs.open() as log, ActorSystem(log=log) as system:
        branch = await started(system, Saving)
        for _ in range(2):
            await branch.ask(Deposit(1, name="a"), origin=Origin(owner="ann"))
        await branch.ask(Deposit(1, name="b"), origin=Origin(owner="bob"))
    async with logs.open() as log, ActorSystem(log=log) as system:
        branch = await started(system, Saving)
        await branch.ask(Deposit(1, name="a"))

        *_, last = await log.read_stream("account/a")
        assert last.header.owner == "ann"


@pytest.mark.asyncio
async def test_it_has_all_its_open_streams_again(logs: Logs) -> None:
    async with logs.open() as log, ActorSystem(log=log) as system:
        branch = await started(system)
        for name, amount in (("a", 1), ("b", 2), ("c", 4), ("b", 8)):
            await branch.ask(Deposit(amount, name=name))
        await branch.ask(Record((Closed(),), "c"))
    async with logs.open() as log, ActorSystem(log=log) as system:
        branch = await started(system)

        assert await branch.ask(Balance()) == 11
        assert branch_of(system).resumed == ["account/a", "account/b"]
        assert branch_of(system).version("account/b") == 2
        assert branch_of(system).reactions == []
        check(branch_of(system))


@pytest.mark.asyncio
async def test_writes_of_one_decision_are_one_append() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        branch = await started(system)
        await branch.ask(Deposit(10, name="a"))
        await log.append([StreamAppend("account/b", 0, (Deposited(1),))], NOW)
        with pytest.raises(VersionConflictError):
            await branch.ask(Transfer(4, "a", "b"))

        assert await branch.ask(Balance()) == 11
        assert log.position == 2
        await branch.ask(Transfer(4, "a", "b"))
        assert branch_of(system).states == {
            "account/a": Account(6, 2),
            "account/b": Account(5, 2),
        }


@pytest.mark.asyncio
async def test_it_reacts_to_each_event_with_its_stream(logs: Logs) -> None:
    async with logs.open() as log, ActorSystem(log=log) as system:
        branch = await started(system)
        await branch.ask(Transfer(4, "a", "b"))
        await system.settled()

        assert branch_of(system).reactions == [
            ("account/a", Withdrawn(4)),
            ("account/b", Deposited(4)),
        ]


@pytest.mark.asyncio
async def test_a_closed_stream_leaves_once_that_is_durable() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        branch = await started(system)
        await branch.ask(Deposit(10, name="a"))
        log.hold()
        closing = branch.ask(Record((Closed(),), "a"))
        await system.settled()
        assert "account/a" in branch_of(system).states
        log.release()
        await closing
        await system.settled()

        assert not branch_of(system).states
        check(branch_of(system))


@pytest.mark.asyncio
async def test_a_closed_stream_is_reopened_and_adopted(logs: Logs) -> None:
    async with logs.open() as log, ActorSystem(log=log) as system:
        branch = await started(system)
        await branch.ask(Record((Deposited(3), Closed()), "a"))
        await system.settled()
        await branch.ask(Reopen("a", 2))
        await system.settled()
        assert not branch_of(system).states
        events = [each.event for each in await log.read_stream("account/a")]
        adopted = tuple(e for e in events if isinstance(e, Deposited | Closed))

        assert await branch.ask(Adopt("a", adopted)) == 3
        assert await branch.ask(Deposit(1, name="a")) == 4
        assert branch_of(system).version("account/a") == 4
        check(branch_of(system))


@pytest.mark.asyncio
async def test_a_stream_of_somebody_else_is_written_and_not_kept(logs: Logs) -> None:
    async with logs.open() as log, ActorSystem(log=log) as system:
        branch = await started(system)
        await branch.ask(Abroad("note/1", 0))
        await branch.ask(Abroad("note/1", 1))
        await system.settled()

        assert not branch_of(system).states
        assert len(await log.read_stream("note/1")) == 2
        assert len(branch_of(system).reactions) == 2


@pytest.mark.asyncio
async def test_streams_are_handed_over() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        branch = await started(system)
        assert await branch.ask(Adopt("a", (Deposited(3), Deposited(4)))) == 7
        assert await branch.ask(Adopt("a", (Deposited(3),))) == 7
        assert await branch.ask(Adopt("b", (Deposited(3), Closed()))) == 7
        assert branch_of(system).version("account/a") == 2
        assert await branch.ask(Release("a")) == 0
        assert await branch.ask(Release("a")) == 0
        check(branch_of(system))


@pytest.mark.asyncio
async def test_a_taken_key_takes_back_what_stood_on_it() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        branch = await started(system)
        log.hold()
        first = branch.ask(Deposit(1, "k", name="a"))
        again = branch.ask(Deposit(10, "k", name="b"))
        on_top = branch.ask(Deposit(100, name="b"))
        beside = branch.ask(Deposit(1000, name="a"))
        await system.settled()
        assert branch_of(system).sum == 1111
        log.release(2)
        await system.settled()
        log.release()

        assert await first == 1
        with pytest.raises(KeyTakenError):
            await again
        assert await on_top == 101
        assert await beside == 1101
        assert branch_of(system).states == {
            "account/a": Account(1001, 2),
            "account/b": Account(100, 1),
        }
        assert [event for _, event in branch_of(system).reactions] == [
            Deposited(1),
            Deposited(100),
            Deposited(1000),
        ]
        check(branch_of(system))
        assert system.cell("/branch").restarts == 0


@pytest.mark.asyncio
async def test_what_became_durable_behind_a_taken_key_stays() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        branch = await started(system)
        log.hold()
        first = branch.ask(Deposit(1, "k", name="a"))
        again = branch.ask(Deposit(10, "k", name="b"))
        beside = branch.ask(Deposit(1000, name="c"))
        waiting = branch.ask(Balance())
        await system.settled()
        log.release()

        assert await first == 1
        with pytest.raises(KeyTakenError):
            await again
        assert await beside in {1001, 1011}
        assert await waiting == 1001
        assert log.position == 2
        check(branch_of(system))


@pytest.mark.asyncio
async def test_a_taken_key_of_a_command_that_was_told_is_passed_over(
    logs: Logs,
) -> None:
    async with logs.open() as log, ActorSystem(log=log) as system:
        branch = await started(system)
        branch.tell(Deposit(1, "k", name="a"))
        branch.tell(Deposit(1, "k", name="a"))

        assert await branch.ask(Deposit(10, name="a")) == 11


@pytest.mark.asyncio
async def test_a_refused_command_changes_no_stream() -> None:
    class Strict(Branch):
        def decide(self, states: Any, command: Any, ctx: Any) -> Any:
            if isinstance(command, Withdraw):
                message = f"{len(states)} accounts"
                raise CommandRejectedError(message)
            return super().decide(states, command, ctx)

    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        branch = await started(system, Strict)
        with pytest.raises(CommandRejectedError, match="0 accounts"):
            await branch.ask(Withdraw(1))


@pytest.mark.asyncio
async def test_an_owner_that_says_nothing_owns_all_the_same() -> None:
    class Plain(Branch):
        react = StreamOwner[Account].react
        resume = StreamOwner[Account].resume
        changed = StreamOwner[Account].changed

    class Undecided(Branch):
        decide = StreamOwner[Account].decide

    log: EventLog = MemoryLog(REGISTRY)
    async with ActorSystem(log=log) as system:
        branch = await started(system, Plain)
        await branch.ask(Deposit(3, name="a"))
        await system.stop(branch)
        branch = await started(system, Plain)
        assert branch_of(system).states == {"account/a": Account(3, 1)}
        await system.stop(branch)
        branch = await started(system, Undecided)
        with pytest.raises(NotImplementedError):
            await branch.ask(Balance())


@pytest.mark.asyncio
async def test_a_decision_has_one_write_per_stream_and_none_without_events() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        branch = await started(system)
        await branch.ask(Record((), "a"))
        assert log.position == 0
        with pytest.raises(AssertionError, match="a Write per stream"):
            await branch.ask(Transfer(1, "a", "a"))
