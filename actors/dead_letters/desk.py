"""What a queue answers to people: decisions as writes, without any effect."""

from ..runtime import Message, OwnerDecision, Write
from .deciding import Farewell, Remark, Setting, close, remark
from .errors import DeadLetterRefusedError, EntryNotFoundError
from .messages import CancelRedrive, Discard, Redrive, Resolve
from .queue import Changes, Entries, cancel_batch, plan_redrive, select


def wished(states: Entries, command: Message, setting: Setting) -> OwnerDecision:
    """Do what somebody asks of the queue. Raises `DeadLetterError`s."""
    match command:
        case Redrive():
            batch = f"{setting.now_us:014x}{round(setting.draw * 0xFFFFFF):06x}"
            changes, redriving = plan_redrive(states, command, batch, setting)
            return writes(changes, redriving)
        case CancelRedrive():
            changes = cancel_batch(states, command.batch, command.reason, setting)
            return writes(changes, len(changes))
        case Discard() | Resolve():
            farewell: Farewell = (
                "discard" if isinstance(command, Discard) else "resolve"
            )
            meant = select(states, command.selection)
            chosen = meant[: command.selection.entries_max]
            changes = {
                e.stream: close(e, farewell, command.reason, setting) for e in chosen
            }
            return writes(changes, len(changes))
        case _:
            return _remarked(states, command, setting)


def _remarked(states: Entries, command: Message, setting: Setting) -> OwnerDecision:
    if not isinstance(command, Remark):
        raise DeadLetterRefusedError(
            f"a dead letter queue has no use for {type(command).__name__}"
        )
    entry = states.get(command.entry)
    if entry is None:
        raise EntryNotFoundError(command.entry)
    events = remark(entry, command, setting)
    return writes({entry.stream: events} if events else {}, bool(events))


def writes(changes: Changes, reply: object = None) -> OwnerDecision:
    """Return the changes as one append; entries without events are left out.

    Each is its owner's, and nobody's if it has none: not whose message it was, such as
    a timer that was set when another's entry was redriven.
    """
    wanted = (Write(stream, events) for stream, events in changes.items() if events)
    return OwnerDecision(tuple(wanted), reply, owner="")
