"""The actor runtime: cells, references, mailboxes and supervision."""

from .actor import Actor
from .behaviour import Behaviour
from .census import ActorInfo
from .clock import Clock, ManualClock, SystemClock
from .context import ActorContext, Later
from .dead_messages import DeadMessage
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
    HandlerTimeoutError,
    IntensityExceededError,
    KilledError,
    LinkedError,
    MailboxFullError,
    NameTakenError,
    NoSuchActorError,
    StartTimeoutError,
    StashFullError,
    StreamGapError,
    SystemClosedError,
    TreeTooDeepError,
    UnhandledMessageError,
    UnknownTagError,
    UnrecoverableError,
)
from .event_sourced import Decision, EventSourced
from .handlers import handles
from .mailbox import Mailbox
from .messages import Ask, Message, Terminated
from .notices import ActorFailed, ActorRestarted, ActorStopped, LoopBlocked
from .origin import Origin
from .owner_decision import OwnerContext, OwnerDecision, Write
from .refs import Ref
from .routers import Broadcast, ConsistentHash, LeastLoaded, RoundRobin
from .spec import AnySpec, ChildSpec, SupervisorSpec
from .stream_owner import StreamOwner
from .supervision import Backoff, Directive, Directives, Restart, Strategy
from .supervisor import StartChild, Supervisor
from .system import ActorSystem
from .timers import Timers
from .work import Running

__all__ = [
    "Actor",
    "ActorContext",
    "ActorError",
    "ActorFailed",
    "ActorFailedError",
    "ActorInfo",
    "ActorRestarted",
    "ActorStopped",
    "ActorStoppedError",
    "ActorSystem",
    "AnySpec",
    "Ask",
    "AskCycleError",
    "AskTimeoutError",
    "Backoff",
    "Behaviour",
    "Broadcast",
    "ChildExistsError",
    "ChildSpec",
    "Clock",
    "CommandRejectedError",
    "ConsistentHash",
    "DeadMessage",
    "Decision",
    "Directive",
    "Directives",
    "EventSourced",
    "EvolveError",
    "HandlerCancelledError",
    "HandlerError",
    "HandlerTimeoutError",
    "IntensityExceededError",
    "KilledError",
    "Later",
    "LeastLoaded",
    "LinkedError",
    "LoopBlocked",
    "Mailbox",
    "MailboxFullError",
    "ManualClock",
    "Message",
    "NameTakenError",
    "NoSuchActorError",
    "Origin",
    "OwnerContext",
    "OwnerDecision",
    "Ref",
    "Restart",
    "RoundRobin",
    "Running",
    "StartChild",
    "StartTimeoutError",
    "StashFullError",
    "Strategy",
    "StreamGapError",
    "StreamOwner",
    "Supervisor",
    "SupervisorSpec",
    "SystemClock",
    "SystemClosedError",
    "Terminated",
    "Timers",
    "TreeTooDeepError",
    "UnhandledMessageError",
    "UnknownTagError",
    "UnrecoverableError",
    "Write",
    "handles",
]
