"""What it means that an actor failed: whom it concerns, and what becomes of the message."""

from logging import WARNING
from typing import TYPE_CHECKING

from .errors import ActorError, CommandRejectedError, UnhandledMessageError
from .faults import described
from .mailbox import refuse
from .messages import Message, Tick, is_ask
from .notices import ActorFailed
from .work import Finished

if TYPE_CHECKING:
    from .cell import Cell


def concerns_supervisor(cell: "Cell", error: BaseException, message: object) -> bool:
    """Tell the asker, and then whether the supervisor has to decide.

    A refused command and an unhandled message concern the sender only, unless
    it was another actor that did not handle what this one asked. All else is reported
    and shuts the gate of an actor that was up.
    """
    reply, cell.reply = cell.reply, None
    if reply is not None:
        refuse(reply, error)
    if isinstance(error, ActorError):
        if isinstance(error, CommandRejectedError):
            return False
        if isinstance(error, UnhandledMessageError) and error.path == cell.path:
            cell.pump.dead(cell, message, "unhandled")
            return False
    _report(cell, error, message)
    if cell.state != "running":
        return False
    cell.state = "failed"
    extras = cell.own_extras()
    extras.error = error
    cell.hold()
    if extras.journal is not None:
        extras.journal.revoke(error)
    if isinstance(message, Message) and not isinstance(message, (Tick, Finished)):
        _lay_aside(cell, message)
    return True


def _report(cell: "Cell", error: BaseException, message: object) -> None:
    """Tell the log and the subscribers of an error that a supervisor will deal with."""
    pump = cell.pump
    if pump.lines.enabled(WARNING):
        pump.lines.warning(
            "actor.failed",
            actor=cell.path,
            state=cell.state,
            message=None if message is None else type(message).__name__,
            **described(error),
        )
    if pump.system.events.heard:
        pump.system.events.publish(ActorFailed(cell.path, error, message))


def _lay_aside(cell: "Cell", message: Message) -> None:
    """Deliver a message that crashed the actor again, or not any more."""
    crashes_max = cell.spec.crashes_max
    crash = cell.extras.crash if crashes_max > 1 else None
    times = 1 if crash is None or crash[0] is not message else crash[1] + 1
    if times >= crashes_max or is_ask(message):
        if crash is not None:
            cell.extras.crash = None
        cell.pump.dead(cell, message, "crashed")
    else:
        cell.own_extras().crash = (message, times)
        cell.put_first([(message, None, cell.origin)])
