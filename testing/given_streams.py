"""Given, when, then for actors that own many streams."""

import copy
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Generic, Self, TypeVar, cast

from ..actors.runtime import (
    CommandRejectedError,
    Message,
    Origin,
    OwnerDecision,
    StreamOwner,
    Write,
)
from ..events import Event
from .deciding import NOW_US, DecidingContext, Setting, decided_by
from .outcomes import Outcome
from .purity import folded, shown, untouched

S = TypeVar("S")


class GivenStreams(Generic[S]):
    """An actor that owns many streams, at a point of their history."""

    def __init__(self, actor: StreamOwner[S]) -> None:
        self._actor = actor
        self.states: dict[str, S] = {}
        """The open streams of this actor."""
        self.versions: dict[str, int] = {}
        actor.journal = cast(
            "Any", SimpleNamespace(states=self.states, versions=self.versions)
        )

    def after(self, *writes: Write) -> Self:
        """Go on by these writes; streams of others are passed over."""
        for write in writes:
            self._write(write)
        return self

    def _write(self, write: Write) -> None:
        stream = write.stream
        before = state = self.states.get(stream)
        version = self.versions.get(stream, 0)
        if state is None:
            if write.expected or not stream.startswith(self._actor.prefix):
                return
            state = self._actor.fold.initial(stream)
        for event in write.events:
            version += 1
            state = folded(self._actor.fold, stream, state, event, version)
        self._put(stream, before, state, version)
        if write.events and type(write.events[-1]).closes:
            self.release(stream)

    def _put(self, stream: str, before: S | None, state: S, version: int) -> None:
        self.states[stream] = state
        self.versions[stream] = version
        self._actor.changed(stream, before, state)

    def adopt(self, stream: str, events: tuple[Event, ...]) -> None:
        """Own `stream` from now on: what the context is asked for."""
        if self.versions.get(stream, -1) < len(events):
            self.release(stream)
            self._write(Write(stream, events))

    def release(self, stream: str) -> None:
        """Forget `stream`: what the context is asked for."""
        before = self.states.pop(stream, None)
        if self.versions.pop(stream, None) is not None:
            self._actor.changed(stream, before, None)

    def when(
        self,
        command: Message,
        *,
        now_us: int = NOW_US,
        now_s: float = 0.0,
        seed: int = 0,
        origin: Origin | None = None,
    ) -> "DecidedStreams[S]":
        """Decide about `command`; the rest is what the context hands out."""
        setting = Setting(
            now_us=now_us, now_s=now_s, seed=seed, origin=origin or Origin()
        )
        decided_by(self._actor, command)
        told = f"{shown(command)} on {shown(self.states)}"
        self._actor.ctx = context = DecidingContext(setting, self)
        known = dict(self.states)  # adopting is no change of a state

        def decide() -> OwnerDecision:
            return self._actor.decide(self.states, command, context)

        try:
            decision = untouched(f"decide of {told}", known, decide)
        except CommandRejectedError as error:
            return DecidedStreams(self, told, None, error)
        self.after(*decision.writes)
        return DecidedStreams(self, told, decision, None)


class DecidedStreams(Outcome[OwnerDecision], Generic[S]):
    """What such an actor decided, and what a test expects of that."""

    def __init__(
        self,
        given: GivenStreams[S],
        told: str,
        decision: OwnerDecision | None,
        error: CommandRejectedError | None,
    ) -> None:
        super().__init__(told, decision, error)
        self._given = given
        self.states: Mapping[str, S] = copy.copy(given.states)
        """The open streams after the decision."""

    def then(self, *writes: Write) -> Self:
        """Expect exactly these writes, in order."""
        if self.decision.writes != writes:
            self._differs("was decided otherwise", writes, self.decision.writes)
        return self

    def then_nothing(self) -> Self:
        """Expect no writes; there may be a reply."""
        return self.then()

    def then_state(self, stream: str, state: S | None) -> Self:
        """Expect this state of a stream after the writes; None: it is not here."""
        found = self.states.get(stream)
        if found != state:
            self._differs(f"led {stream} to another state", state, found)
        return self

    def when(self, command: Message, **setting: Any) -> "DecidedStreams[S]":
        """Go on with another command; a refused one has changed nothing."""
        return self._given.when(command, **setting)
