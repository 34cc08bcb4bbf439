"""To all routees."""

import asyncio
from asyncio import Future
from typing import TypeVar

from ..errors import MailboxFullError
from ..messages import Ask, Message
from ..origin import Origin
from ..refs import Ref
from .router import Router

A = TypeVar("A")


class Broadcast(Router):
    """Tells everybody; an ask is answered by whoever is first."""

    __slots__ = ()

    @property
    def _living(self) -> tuple[Ref, ...]:
        return tuple(ref for ref in self.routees if not ref.stopped) or self.routees

    def tell(self, message: Message, origin: Origin | None = None) -> None:
        """Tell all; one that refuses does not keep it from the others."""
        refused: list[Exception] = []
        for ref in self._living:
            try:
                ref.tell(message, origin=origin)
            except MailboxFullError as error:
                refused.append(error)
        if refused:
            raise refused[0]

    def ask(
        self,
        message: Ask[A],
        timeout_s: float = 5.0,
        origin: Origin | None = None,
    ) -> Future[A]:
        """Ask all; the first answer counts, an error only if there is no answer."""
        first: Future[A] = asyncio.get_running_loop().create_future()
        asked = self._living
        left = len(asked)

        def answered(reply: Future[A]) -> None:
            nonlocal left
            left -= 1
            if reply.cancelled():
                if not left:
                    first.cancel()
                return
            error = reply.exception()  # looked at even if somebody was faster
            if first.done():
                return
            if error is None:
                first.set_result(reply.result())
            elif not left:
                first.set_exception(error)

        for ref in asked:
            ref.ask(message, timeout_s, origin=origin).add_done_callback(answered)
        return first

    async def offer(self, message: Message, origin: Origin | None = None) -> None:
        """Wait for room at each, one after the other."""
        for ref in self._living:
            await ref.offer(message, origin=origin)
