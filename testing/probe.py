"""Probes: actors that a test sees through and speaks for."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from ..actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    ChildSpec,
    Later,
    Mailbox,
    Message,
    Ref,
    Terminated,
    handles,
)
from .errors import ExpectationError

A = TypeVar("A")
M = TypeVar("M", bound=Message)

WITHIN_S: Final = 3.0
"""How long a probe waits unless told otherwise, in seconds of the loop's time."""

_SHOWN: Final = 8


class Received(msgspec.Struct, frozen=True):
    """A message that came to a probe, and the way back to who asked."""

    message: Message
    later: Later | None


class _ProbeActor(Actor):
    def __init__(self, take: Callable[[Received], None]) -> None:
        self._take = take

    @handles
    def take(self, message: Message) -> None:
        asked = isinstance(message, Ask)
        self._take(Received(message, self.ctx.later() if asked else None))


class Probe:
    """An actor whose mail a test reads, and for which it answers.

    `probe = await Probe.spawn(system)`, then give `probe.ref` to whom you test.
    Expectations go through the mail in order; what they show when they fail is what
    came instead. They wait in the loop's time, so under a seeded loop no time at all.
    """

    def __init__(self, name: str = "probe") -> None:
        self.name = name
        self.ref: Ref
        """Where its mail goes; there once it was spawned."""
        self.received: list[Message] = []
        """All that ever came, in order, expected or not."""
        self._unread: deque[Received] = deque()
        self._open: Received | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._answers: dict[type[Message], Callable[[Any], object]] = {}
        self._system: ActorSystem

    @classmethod
    async def spawn(
        cls,
        system: ActorSystem,
        name: str = "probe",
        *,
        under: Ref | None = None,
        mailbox: Mailbox | None = None,
    ) -> "Probe":
        """Start a probe, under the root or under another actor."""
        probe = cls(name)
        spec = ChildSpec(
            id=name,
            factory=lambda: _ProbeActor(probe._take),
            mailbox=mailbox or Mailbox(),
        )
        probe._system = system
        probe.ref = await system.spawn(spec, under=under)
        return probe

    def _take(self, received: Received) -> None:
        message = received.message
        self.received.append(message)
        answer = self._answers.get(type(message))
        if answer is not None and received.later is not None:
            received.later.set(answer(message))
            return
        self._unread.append(received)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # Expecting

    async def expect(
        self,
        kind: type[M],
        where: Callable[[M], bool] | None = None,
        *,
        within_s: float = WITHIN_S,
    ) -> M:
        """Return the next message, which must be a `kind` for which `where` holds.

        Raises `ExpectationError` if it is another, or none comes within `within_s`.
        """
        wanted = kind.__name__ + ("" if where is None else " that fits")
        received = await self._next(wanted, within_s)
        message = received.message
        if not isinstance(message, kind) or (where is not None and not where(message)):
            raise self._failure(f"{wanted} was expected, {message!r} came")
        return message

    async def expect_message(self, message: M, *, within_s: float = WITHIN_S) -> M:
        """Return the next message, which must be equal to `message`."""
        received = await self._next(repr(message), within_s)
        if received.message != message:
            raise self._failure(f"{message!r} was expected, {received.message!r} came")
        return message

    async def fish(
        self,
        kind: type[M],
        where: Callable[[M], bool] | None = None,
        *,
        within_s: float = WITHIN_S,
    ) -> M:
        """Return the first `kind` for which `where` holds; throw back what comes first.

        `within_s` is for all of it.
        """
        wanted = kind.__name__ + ("" if where is None else " that fits")
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        while True:
            left_s = max(0.0, until_s - loop.time())
            message = (await self._next(wanted, left_s)).message
            if isinstance(message, kind) and (where is None or where(message)):
                return message

    async def expect_nothing(self, within_s: float = 0.0) -> None:
        """Wait until all actors are idle, and then `within_s`; nothing may have come.

        Raises `ExpectationError` with what came.
        """
        await self._system.settled()
        if within_s > 0 and not self._unread:
            await asyncio.sleep(within_s)
        if self._unread:
            raise self._failure("nothing was expected")

    async def _next(self, wanted: str, within_s: float) -> Received:
        if not self._unread:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(within_s):
                    await self._waiter
            except TimeoutError:
                if not self._unread:
                    what = f"{wanted} was expected within {within_s:g} s, nothing came"
                    raise self._failure(what) from None
        self._open = received = self._unread.popleft()
        return received

    # Answering

    def reply(self, answer: object) -> None:
        """Answer the ask that was expected last.

        Raises `ExpectationError` if it was no ask, or nobody waits any more.
        """
        self._asked().set(answer)

    def fail(self, error: Exception) -> None:
        """Answer the ask that was expected last with an error; raises as `reply`."""
        self._asked().fail(error)

    def _asked(self) -> Later:
        received, self._open = self._open, None
        if received is None:
            raise self._failure("there is nothing to answer: expect an ask first")
        if received.later is None:
            raise self._failure(f"{received.message!r} was told: nobody waits")
        if not received.later.wanted:
            raise self._failure(f"nobody waits for the answer to {received.message!r}")
        return received.later

    def answers(self, kind: type[Ask[A]], answer: Callable[[Any], A]) -> None:
        """Answer every `kind` at once from now on, by `answer(message)`.

        It is `received`, but not to be expected any more.
        """
        self._answers[kind] = answer

    # Watching

    def watch(self, ref: Ref) -> None:
        """Get a `Terminated` once `ref` has stopped, also if it has already."""
        self._system.watch(self._cell, ref)

    def unwatch(self, ref: Ref) -> None:
        """Take `watch` back."""
        self._system.unwatch(self._cell, ref)

    async def expect_terminated(
        self, ref: Ref, *, within_s: float = WITHIN_S
    ) -> Terminated:
        """Return the next message, which must tell of the end of `ref`: see `watch`."""
        return await self.expect(
            Terminated, lambda ended: ended.path == ref.path, within_s=within_s
        )

    @property
    def _cell(self) -> Any:
        return self._system.cell(self.ref.path)

    def _failure(self, what: str) -> ExpectationError:
        unread = [received.message for received in self._unread]
        mail = [
            f"  {message!r}{' (unread)' if any(m is message for m in unread) else ''}"
            for message in self.received[-_SHOWN:]
        ]
        more = len(self.received) - len(mail)
        lines = [f"  {more} before", *mail] if more else mail or ["  nothing"]
        return ExpectationError(
            "\n".join([f"{self.ref.path}: {what}; all it got:", *lines])
        )
