"""Who is told of an end, when, and why."""

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    ChildSpec,
    LinkedError,
    Message,
    Ref,
    Terminated,
    handles,
)


class Fail(Message):
    pass


class Watch(Ask[None]):
    ref: Ref


class Unwatch(Ask[None]):
    ref: Ref


class Link(Ask[None]):
    ref: Ref


class Unlink(Ask[None]):
    ref: Ref


class Heard(Ask[tuple[Terminated, ...]]):
    pass


class Guard(Actor):
    """Watches whom it is told to."""

    def __init__(self) -> None:
        self.heard: list[Terminated] = []

    @handles
    def watch(self, message: Watch) -> None:
        self.ctx.watch(message.ref)

    @handles
    def unwatch(self, message: Unwatch) -> None:
        self.ctx.unwatch(message.ref)

    @handles
    def link(self, message: Link) -> None:
        self.ctx.link(message.ref)

    @handles
    def unlink(self, message: Unlink) -> None:
        self.ctx.unlink(message.ref)

    @handles
    def note(self, message: Terminated) -> None:
        self.heard.append(message)

    @handles
    def answer(self, _: Heard) -> tuple[Terminated, ...]:
        return tuple(self.heard)

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError(message)


async def guard(system: ActorSystem, name: str, **spec: str) -> Ref:
    spec = {"restart": "temporary", **spec}
    return await system.spawn(
        ChildSpec(id=name, factory=Guard, **spec)  # type: ignore[arg-type]  # a word
    )


@pytest.mark.asyncio
async def test_a_watcher_hears_once_of_an_orderly_stop() -> None:
    async with ActorSystem() as system:
        watcher, other = await guard(system, "w"), await guard(system, "o")
        await watcher.ask(Watch(other))
        await watcher.ask(Watch(other))
        await system.stop(other)
        await system.stop(other)

        assert await watcher.ask(Heard()) == (Terminated("/o"),)


@pytest.mark.asyncio
async def test_a_watcher_hears_what_an_actor_died_of() -> None:
    async with ActorSystem() as system:
        watcher, other = await guard(system, "w"), await guard(system, "o")
        await watcher.ask(Watch(other))
        other.tell(Fail())
        await system.settled()

        (heard,) = await watcher.ask(Heard())
        assert isinstance(heard.error, ValueError)


@pytest.mark.asyncio
async def test_watching_the_dead_is_answered_at_once() -> None:
    async with ActorSystem() as system:
        watcher, other = await guard(system, "w"), await guard(system, "o")
        other.tell(Fail())
        await system.settled()
        await watcher.ask(Watch(other))

        (heard,) = await watcher.ask(Heard())
        assert heard.path == "/o"
        assert isinstance(heard.error, ValueError)


@pytest.mark.asyncio
async def test_a_restart_is_no_end() -> None:
    async with ActorSystem() as system:
        watcher = await guard(system, "w")
        other = await guard(system, "o", restart="permanent")
        await watcher.ask(Watch(other))
        other.tell(Fail())
        await system.settled()

        assert await watcher.ask(Heard()) == ()


@pytest.mark.asyncio
async def test_who_no_longer_watches_hears_nothing() -> None:
    async with ActorSystem() as system:
        watcher, other = await guard(system, "w"), await guard(system, "o")
        await watcher.ask(Watch(other))
        await watcher.ask(Unwatch(other))
        await watcher.ask(Unwatch(other))
        await system.stop(other)

        assert await watcher.ask(Heard()) == ()


@pytest.mark.asyncio
async def test_watches_belong_to_the_instance_that_made_them() -> None:
    async with ActorSystem() as system:
        watcher = await guard(system, "w", restart="permanent")
        other = await guard(system, "o")
        await watcher.ask(Watch(other))
        watcher.tell(Fail())
        await system.settled()
        assert next(a for a in system.tree().children if a.path == "/o").watchers == 0
        await system.stop(other)

        assert await watcher.ask(Heard()) == ()


@pytest.mark.asyncio
async def test_a_full_mailbox_does_not_keep_the_news_out() -> None:
    async with ActorSystem() as system:
        watcher, other = await guard(system, "w"), await guard(system, "o")
        await watcher.ask(Watch(other))
        cell = system.cell("/w")
        cell.hold()
        for _ in range(1000):
            watcher.tell(Unwatch(other))
        await system.stop(other)
        cell.release()
        await system.settled()

        assert await watcher.ask(Heard()) == (Terminated("/o"),)


@pytest.mark.parametrize("dies", [0, 1])
@pytest.mark.asyncio
async def test_a_link_takes_either_down_with_the_other(dies: int) -> None:
    async with ActorSystem() as system:
        pair = [await guard(system, "a"), await guard(system, "b")]
        await pair[0].ask(Link(pair[1]))
        watcher = await guard(system, "w")
        await watcher.ask(Watch(pair[1 - dies]))
        pair[dies].tell(Fail())
        await system.settled()

        (heard,) = await watcher.ask(Heard())
        assert isinstance(heard.error, LinkedError)
        assert heard.error.path == pair[dies].path
        assert [each.path for each in system.tree().children] == ["/w"]


@pytest.mark.parametrize("how", ["orderly", "unlinked", "restarted"])
@pytest.mark.asyncio
async def test_a_link_that_has_ended_takes_nobody_down(how: str) -> None:
    async with ActorSystem() as system:
        a = await guard(system, "a", restart="permanent")
        b = await guard(system, "b")
        await a.ask(Link(b))
        if how == "unlinked":
            await a.ask(Unlink(b))
        if how == "restarted":
            a.tell(Fail())
            await system.settled()
        if how == "orderly":
            await system.stop(b)
        else:
            b.tell(Fail())
            await system.settled()

        assert system.tree().children[0].restarts == (how == "restarted")


@pytest.mark.asyncio
async def test_linking_to_one_who_died_of_an_error_is_fatal_at_once() -> None:
    async with ActorSystem() as system:
        a, b = await guard(system, "a"), await guard(system, "b")
        b.tell(Fail())
        await system.settled()
        a.ask(Link(b))
        await system.settled()

        assert system.tree().children == ()


@pytest.mark.asyncio
async def test_linking_to_one_who_has_stopped_keeps_nothing_of_it() -> None:
    async with ActorSystem() as system:
        a, b = await guard(system, "a"), await guard(system, "b")
        await system.stop(b)
        await a.ask(Link(b))
        system.link(b, a)

        assert system.tree().children[0].watchers == 0


@pytest.mark.asyncio
async def test_actors_that_watch_each_other_can_stop_in_any_order() -> None:
    async with ActorSystem() as system:
        a, b = await guard(system, "a"), await guard(system, "b")
        await a.ask(Watch(b))
        await b.ask(Watch(a))
        await system.stop(a)

        assert await b.ask(Heard()) == (Terminated("/a"),)
        await system.stop(b)
        assert system.dead_messages.count == 0


@pytest.mark.asyncio
async def test_news_come_in_the_order_in_which_they_happened() -> None:
    async with ActorSystem() as system:
        watcher = await guard(system, "g")
        others = [await guard(system, name) for name in "abc"]
        for other in others:
            await watcher.ask(Watch(other))
        waiting = watcher.ask(Heard())
        for other in others:
            await system.stop(other)
        del waiting

        assert [each.path for each in await watcher.ask(Heard())] == ["/a", "/b", "/c"]
