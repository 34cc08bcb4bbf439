"""Work beside the mailbox, whose outcome comes back as a message."""

from asyncio import CancelledError
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from .errors import HandlerCancelledError
from .messages import Control, Message

if TYPE_CHECKING:
    from .cell import Cell
    from .origin import Origin
    from .steps import Worker

Then = Callable[[Any], Message]
Failed = Callable[[Exception], Message]


class Finished(Control):
    """Work beside the mailbox has ended."""

    running: Any


class Running(msgspec.Struct, eq=False):
    """Work that an actor has started; it is cancelled when the actor goes down."""

    cell: "Cell"
    then: Then | None
    failed: Failed | None
    origin: "Origin | None"
    worker: "Worker | None" = None
    message: Callable[[], Message | None] | None = None
    """Makes the message about the outcome; raises if the actor wanted none."""
    stale: bool = False
    """Whether nobody wants to hear of it any more."""

    def cancel(self) -> None:
        """Cancel the work and forget its outcome; harmless when it has ended."""
        self.stale = True
        self._forget()
        worker, self.worker = self.worker, None
        if worker is not None and worker.owner is self:
            worker.cancel()

    def settled(self, result: object) -> None:
        """Send the message about the result: the worker's call."""
        then = self.then
        if then is not None:
            self._send(lambda: then(result))
        else:
            self._forget()

    def crashed(self, error: BaseException) -> None:
        """Send the message about the error: the worker's call."""
        if self.stale:
            return
        if not isinstance(error, Exception):
            assert isinstance(error, CancelledError)
            error = HandlerCancelledError(f"work of {self.cell.path} was cancelled")
        failed, cause = self.failed, error

        def outcome() -> Message:
            if failed is None:
                raise cause
            return failed(cause)

        self._send(outcome)

    def taken(self) -> Message | None:
        """Return the message now that the outcome is worked off; None: it is stale."""
        self._forget()
        if self.stale or self.message is None:
            return None
        return self.message()

    def _send(self, message: Callable[[], Message | None]) -> None:
        self.worker = None
        if not self.stale:
            self.message = message
            self.cell.deliver((Finished(self), None, self.origin))

    def _forget(self) -> None:
        if self.cell.extras.works is not None:
            self.cell.extras.works.pop(self, None)
