"""Supervised, event-sourced actors for asyncio that keep unreliable work reliable."""

from .actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    ChildSpec,
    CommandRejectedError,
    Decision,
    EventSourced,
    Message,
    Ref,
    handles,
)
from .events import DramaturgError, Event, Fold, Registry, UnknownEvent, vocabulary

__all__ = [
    "Actor",
    "ActorSystem",
    "Ask",
    "ChildSpec",
    "CommandRejectedError",
    "Decision",
    "DramaturgError",
    "Event",
    "EventSourced",
    "Fold",
    "Message",
    "Ref",
    "Registry",
    "UnknownEvent",
    "handles",
    "vocabulary",
]
