"""How a cell comes up and goes down: the primitives that supervision is made of.

* `start(cell)`: a new instance from the factory, its journal recovered, `starting`
  called; then messages flow. Raises what went wrong; the cell is then `down`.
* `halt(cell, error)`: goes down and keeps its mailbox: the handler at work ends (or is
  cancelled, or abandoned), children are stopped, `restarting` is called, timers and
  work beside the mailbox are cancelled. `start` brings it up again.
* `restart(cell, error)`: `halt` and `start`; a start that fails is a failure of the
  child, of which its supervision hears in a later turn: never a loop.
* `stop(cell, error)`: goes down for good: `stopping` is called, what waits in the
  mailbox becomes dead messages, watchers are told.

They are coroutines to be awaited by whoever changes the tree, one at a time per cell;
`go` runs one for somebody who cannot wait. None of them suspends unless a hook, a
handler or a journal does, so restarting a plain actor takes no task and no turn.
"""

from asyncio import CancelledError, Future
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from ...events.log import LogUnavailableError
from .cell import BUSY, Cell
from .errors import ActorFailedError, HandlerCancelledError
from .faults import described

if TYPE_CHECKING:
    from .origin import Origin

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Errand:
    """A coroutine of the runtime; its outcome is a future for those who wait."""

    __slots__ = ("_future", "error", "origin", "result")

    def __init__(self, future: "Future[Any] | None" = None) -> None:
        self._future = future
        self.origin: Origin | None = None
        self.result: object = None
        self.error: BaseException | None = None

    def settled(self, result: object) -> None:
        """Take the result."""
        self.result = result
        if self._future is not None and not self._future.done():
            self._future.set_result(result)

    def crashed(self, error: BaseException) -> None:
        """Take the error."""
        self.error = error
        if self._future is not None and not self._future.done():
            if isinstance(error, CancelledError):
                self._future.cancel()
            else:
                self._future.set_exception(error)


class _Unattended(Errand):
    """An errand nobody waits for: its error is a fault of the runtime, and logged."""

    __slots__ = ()

    def crashed(self, error: BaseException) -> None:
        """Report the error."""
        if isinstance(error, Exception):
            _log.error("runtime.failed", **described(error))


def go(cell: Cell, coro: Coroutine[Any, Any, object]) -> None:
    """Run a change of the tree that nobody waits for."""
    cell.pump.steps.begin(coro, _Unattended(), None)


async def limited(cell: Cell, coro: Coroutine[Any, Any, T], limit_s: float) -> bool:
    """Await a hook for `limit_s`, then cancel it and go on; tell whether it ended.

    Raises what it raised. A hook that takes no notice of its cancellation for another
    `limit_s` is abandoned.
    """
    future: Future[T] = cell.pump.loop.create_future()
    errand = Errand(future)
    worker = cell.pump.steps.begin(coro, errand, None)
    if worker is None:
        if errand.error is not None:
            future.cancelled() or future.exception()
            raise errand.error
        return True
    for act in (worker.cancel, worker.abandon):
        if await _done_within(cell, future, limit_s):
            break
        act()
    if not future.done():
        _log.error("actor.abandoned", actor=cell.path, limit_s=limit_s)
        return False
    if future.cancelled():
        return False
    future.result()
    return True


async def _done_within(cell: Cell, future: "Future[Any]", limit_s: float) -> bool:
    """Wait for `future` without looking at its outcome; tell whether it is done."""
    waiter: Future[None] = cell.pump.loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    alarm = cell.pump.clock.call_later(limit_s, wake)
    try:
        await waiter
    finally:
        alarm.cancel()
    return future.done()


async def start(cell: Cell) -> None:
    """Bring `cell` up with a new instance; raises what went wrong."""
    cell.state = "starting"
    try:
        actor = cell.spec.factory()
        assert cell.context is not None
        actor.ctx = cell.context
        cell.actor = actor
        cell.handlers = actor.handlers
        cell.journal = journal = actor.open_journal()
        if journal is not None:
            await journal.recover()
        if "starting" in actor.hooks:
            await actor.starting()
        if journal is not None:
            journal.resume()
    except BaseException as error:
        cell.state = "down"
        cell.error = error
        _clear(cell, error)
        raise
    cell.state = "running"
    cell.error = None
    cell.started_s = cell.pump.clock.now_s()
    cell.open()


async def halt(cell: Cell, error: BaseException | None) -> None:
    """Take `cell` down and keep its mailbox."""
    await _go_down(cell, error, for_good=False)
    cell.state = "down"


async def restart(cell: Cell, error: BaseException | None) -> None:
    """Replace the instance; a failing start is reported like any failure."""
    await halt(cell, error)
    cell.restarts += 1
    await _start_again(cell)


async def rebuild(cell: Cell) -> None:
    """Rebuild a suspended cell from its log; this counts as no restart."""
    if cell.state == "suspended":
        await halt(cell, cell.error)
        await _start_again(cell)


async def _start_again(cell: Cell) -> None:
    try:
        await start(cell)
    except LogUnavailableError as error:
        cell.state = "suspended"
        cell.error = error
    except Exception as failure:  # noqa: BLE001 - the supervisor's business
        cell.state = "running"  # so that it can fail
        cell.fail(failure)


async def stop(cell: Cell, error: BaseException | None) -> None:
    """Take `cell` down for good."""
    if cell.stopped:
        return
    await _go_down(cell, error, for_good=True)
    cell.bury(error)
    if cell.parent is not None and cell.parent.children is not None:
        cell.parent.children.remove(cell)


async def _go_down(
    cell: Cell,
    error: BaseException | None,
    *,
    for_good: bool,
) -> None:
    was_up = cell.state == "running"
    cell.hold()
    cell.state = "stopping"
    await _end_handler(cell)
    if cell.children is not None:
        await cell.children.stop_all()
    actor, journal = cell.actor, cell.journal
    if journal is not None and was_up and for_good:
        await journal.drain()
    hook = "stopping" if for_good and error is None else "restarting"
    if actor is not None and hook in actor.hooks:
        call = actor.stopping() if hook == "stopping" else actor.restarting(error)
        try:
            await limited(cell, call, cell.spec.shutdown_s)
        except Exception as failure:  # noqa: BLE001 - it goes down all the same
            _log.error(
                "actor.hook_failed", actor=cell.path, hook=hook, **described(failure)
            )
    _clear(cell, error)
    if journal is not None:
        await journal.close()


async def _end_handler(cell: Cell) -> None:
    """Wait for a suspended handler, then cancel it, then abandon it."""
    steps = ("cancel", "abandon")
    for step in steps:
        if not cell.gate & BUSY:
            return
        alarm = cell.pump.clock.call_later(cell.spec.shutdown_s, cell.notify)
        try:
            await cell.wait()
        finally:
            alarm.cancel()
        worker = cell.job
        if worker is None:
            return
        if step == "cancel":
            worker.cancel()
        else:
            worker.abandon()
            _log.error(
                "actor.abandoned",
                actor=cell.path,
                message=type(cell.message).__name__,
            )
            cell.crashed(HandlerCancelledError(f"{cell.path} was abandoned"))


def _clear(cell: Cell, error: BaseException | None) -> None:
    """End what belongs to this instance."""
    if cell.timers is not None:
        cell.timers.cancel_all()
    for running in tuple(cell.works or ()):
        running.cancel()
    if cell.journal is not None:
        cell.journal.revoke(
            error or ActorFailedError(cell.path, HandlerCancelledError())
        )
    if cell.context is not None:
        cell.context.refuse_owed()
    cell.actor = None
