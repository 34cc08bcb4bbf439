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

from collections.abc import Callable
from logging import INFO
from typing import Final

import structlog

from ...events.log import LogUnavailableError
from . import stash, watching
from .cell import Cell
from .change import Change, begin
from .errand import go
from .errors import ActorFailedError, ActorStoppedError, HandlerCancelledError
from .extras import NO_EXTRAS
from .faults import described
from .grace import end_handler, limited
from .inbox import HELD
from .journal import Journal
from .mailbox import Item
from .notices import ActorRestarted, ActorStopped

_log = structlog.get_logger(__name__)

LOG_RETRY_S: Final = 1.0
"""How long a start that failed for want of the log waits, unless the log says before
that it is back."""


async def start(cell: Cell, *, made: bool = False) -> None:
    """Bring `cell` up with a new instance; raises what went wrong.

    `made`: the instance is there, from a `make` in this turn that was not enough.
    """
    change = await begin(cell)
    try:
        if cell.stopped:
            raise ActorStoppedError(cell.path)
        if made or not make(cell):
            await _come_up(cell, change)
    finally:
        change.end()


def make(cell: Cell) -> bool:
    """Make the instance; tell whether it is up, since nothing has to be awaited.

    Raises what the factory raised; the cell is then `down`.
    """
    cell.state = "starting"
    try:
        cell.actor = actor = cell.spec.factory()
        actor.runtime_cell = cell
        cell.handlers = actor.handlers
    except BaseException as error:
        _fall_back(cell, error)
        raise
    if cell.journal is not None or not cell.handlers.at_once:
        return False
    _up(cell)
    return True


def _fall_back(cell: Cell, error: BaseException) -> None:
    """Put `cell` down after a start that failed."""
    cell.error = error
    _clear(cell, error, for_good=False)
    cell.state = "down"


async def _come_up(cell: Cell, change: Change) -> None:
    """Await what the new instance needs."""
    actor = cell.actor
    assert actor is not None
    try:
        before, journal = cell.journal, actor.open_journal()
        if journal is not before:
            cell.own_extras().journal = journal
        if journal is not None:
            await change.carry(_recover(journal, before))
        if "starting" in actor.hooks:
            await change.carry(actor.starting(), cell.spec.start_max_s)
        if journal is not None:
            journal.resume()
    except BaseException as error:
        cell.state = "stopping"
        if cell.children is not None:
            await cell.children.stop_all()
        _fall_back(cell, error)
        raise
    _up(cell)


def _up(cell: Cell) -> None:
    cell.state = "running"
    cell.refusal = None
    cell.started_s = cell.pump.now_s()
    if cell.gate == HELD and not cell.box and cell.batch is None:
        cell.gate, cell.box = 0, None
    else:
        cell.open()
    if cell.children is not None:
        cell.children.supervision.attend()


async def _recover(journal: Journal, before: Journal | None) -> None:
    if before is not None:
        await before.drain()  # what was written of the last life is to be read
    await journal.recover()


async def halt(cell: Cell, error: BaseException | None) -> None:
    """Take `cell` down and keep its mailbox."""
    change = await begin(cell)
    try:
        if not cell.stopped:
            await _go_down(cell, error, for_good=False)
            cell.state = "down"
    finally:
        change.end()


async def revive(cell: Cell) -> bool:
    """Start a halted cell again, and tell whether that did not fail.

    A start that fails is a failure of the child, of which its supervision hears in
    a later turn. One that fails for want of the log waits for the log.
    """
    cell.own_extras().restarts += 1
    return await start_again(cell)


async def start_again(cell: Cell, *, made: bool = False) -> bool:
    """Start a cell that was up before; tell whether that did not fail."""
    try:
        await start(cell, made=made)
    except Exception as failure:  # noqa: BLE001 - the supervisor's business
        return not_started(cell, failure)
    restarted(cell)
    return True


def not_started(cell: Cell, failure: Exception) -> bool:
    """Have a start that failed be a failure; tell whether it is none after all."""
    if cell.stopped or cell.state != "down":
        return True
    if isinstance(failure, LogUnavailableError):
        cell.state = "suspended"
        if cell.journal is not None:
            cell.refusal = cell.journal.unavailable
        cell.pump.clock.call_later(LOG_RETRY_S, lambda: _retry(cell))
        return True
    cell.state = "running"  # so that it can fail
    cell.refusal = None
    cell.fail(failure)
    return False


def restarted(cell: Cell) -> None:
    """Say that a new instance is up."""
    pump = cell.pump
    if pump.lines.enabled(INFO):
        pump.lines.info("actor.restarted", actor=cell.path, restarts=cell.restarts)
    if pump.system.events.heard:
        publish(cell, ActorRestarted(cell.path, cell.restarts))


def _retry(cell: Cell) -> None:
    """Rebuild a suspended cell if nobody said that the log is back, but it is."""
    if cell.state == "suspended":
        go(cell, rebuild(cell))


async def restart(cell: Cell, error: BaseException | None) -> None:
    """Replace the instance; a failing start is reported like any failure."""
    await halt(cell, error)
    await revive(cell)


async def rebuild(cell: Cell) -> None:
    """Rebuild a suspended cell from its log; this counts as no restart."""
    if cell.state == "suspended":
        await halt(cell, None)
        await start_again(cell)


async def stop(
    cell: Cell,
    error: BaseException | None,
    heir: Callable[[Item], None] | None = None,
) -> None:
    """Take `cell` down for good; an `heir` gets what waits and what comes later."""
    if cell.stopped:
        return
    if heir is None:
        cell.doom()
    change = await begin(cell, interrupting=True)
    try:
        if cell.stopped:
            return
        await _go_down(cell, error, for_good=True)
        if cell.parent is not None and cell.parent.children is not None:
            cell.parent.children.remove(cell)
        cell.bury(error, heir)
        publish(cell, ActorStopped(cell.path, error))
    finally:
        change.end()


def cut_off(cell: Cell, error: BaseException | None) -> None:
    """End `cell` and all below it where it stands: there are no workers any more."""
    children = () if cell.children is None else cell.children.cells.values()
    for child in reversed(tuple(children)):
        cut_off(child, error)
    if cell.children is not None:
        cell.children.supervision.close()
    if not cell.stopped:
        _clear(cell, error, for_good=True)
        if cell.journal is not None:
            cell.journal.abandon()
        cell.bury(error)


def publish(cell: Cell, notice: ActorRestarted | ActorStopped) -> None:
    """Tell those who subscribed to the system's events."""
    cell.pump.system.events.publish(notice)


async def _go_down(
    cell: Cell,
    error: BaseException | None,
    *,
    for_good: bool,
) -> None:
    was_up = cell.state == "running"
    cell.hold()
    cell.state = "stopping"
    await end_handler(cell)
    if cell.children is not None:
        await cell.children.stop_all()
    actor, journal = cell.actor, cell.journal
    if journal is not None and was_up and for_good:
        await limited(cell, journal.drain(), cell.spec.shutdown_s)
    hook = "stopping" if for_good and error is None else "restarting"
    if actor is not None and hook in actor.hooks:
        call = actor.stopping() if hook == "stopping" else actor.restarting(error)
        try:
            await limited(cell, call, cell.spec.shutdown_s)
        except Exception as failure:  # noqa: BLE001 - it goes down all the same
            _log.error(
                "actor.hook_failed", actor=cell.path, hook=hook, **described(failure)
            )
    _clear(cell, error, for_good=for_good)
    if journal is not None and for_good:
        await limited(cell, journal.drain(), cell.spec.shutdown_s)
        journal.abandon()


def _clear(cell: Cell, error: BaseException | None, *, for_good: bool) -> None:
    """End what belongs to this instance."""
    if cell.journal is not None:
        cell.journal.revoke(
            error or ActorFailedError(cell.path, HandlerCancelledError())
        )
    if cell.extras is not NO_EXTRAS:
        clear_extras(cell, for_good=for_good)
    cell.actor = None


def clear_extras(cell: Cell, *, for_good: bool) -> None:
    """End what an instance had that few have."""
    extras = cell.extras
    if extras.timers is not None:
        extras.timers.cancel_all()
    for running in tuple(extras.works or ()):
        running.cancel()
    if extras.context is not None:
        extras.context.refuse_owed()
    if extras.watching is not None:
        watching.forget_all(cell, for_good=for_good)
    if extras.stash is not None:
        stash.put_back(cell)


__all__ = [
    "clear_extras",
    "cut_off",
    "go",
    "halt",
    "make",
    "not_started",
    "rebuild",
    "restart",
    "restarted",
    "revive",
    "start",
    "start_again",
    "stop",
]
