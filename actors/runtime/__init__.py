"""The actor runtime: cells, references, mailboxes and supervision."""

from .actor import Actor
from .clock import Clock, ManualClock, SystemClock
from .context import ActorContext, Later
from .errors import (
    ActorError,
    ActorFailedError,
    ActorStoppedError,
    AskCycleError,
    AskTimeoutError,
    ChildExistsError,
    CommandRejectedError,
    EvolveError,
    HandlerCancelledError,
    HandlerError,
    MailboxFullError,
    NoSuchActorError,
    StreamGapError,
    SystemClosedError,
    UnhandledMessageError,
    UnknownTagError,
    UnrecoverableError,
)
from .event_sourced import Decision, EventSourced
from .handlers import handles
from .mailbox import Mailbox
from .messages import Ask, Message, Terminated
from .origin import Origin
from .refs import Ref
from .spec import ChildSpec
from .stream_owner import OwnerContext, OwnerDecision, StreamOwner, Write
from .system import ActorSystem
from .timers import Timers
from .work import Running

__all__ = [
    "Actor",
    "ActorContext",
    "ActorError",
    "ActorFailedError",
    "ActorStoppedError",
    "ActorSystem",
    "Ask",
    "AskCycleError",
    "AskTimeoutError",
    "ChildExistsError",
    "ChildSpec",
    "Clock",
    "CommandRejectedError",
    "Decision",
    "EventSourced",
    "EvolveError",
    "HandlerCancelledError",
    "HandlerError",
    "Later",
    "Mailbox",
    "MailboxFullError",
    "ManualClock",
    "Message",
    "NoSuchActorError",
    "Origin",
    "OwnerContext",
    "OwnerDecision",
    "Ref",
    "Running",
    "StreamGapError",
    "StreamOwner",
    "SystemClock",
    "SystemClosedError",
    "Terminated",
    "Timers",
    "UnhandledMessageError",
    "UnknownTagError",
    "UnrecoverableError",
    "Write",
    "handles",
]
