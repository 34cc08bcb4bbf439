"""What a living breaker consists of: its state, its generation and its journal.

Its own transitions are in force at once and told to the journal. A person's
decisions are told first and come into force when they are durable; meanwhile
calls are counted as ever, but nothing else is decided.
"""

from collections.abc import Callable
from math import inf
from typing import Protocol

from ...events import Event
from ...events.breaker import Configured, Flushed
from . import decide
from .config import BreakerConfig
from .decide import Events
from .generation import TRANSPARENT, Generation, Rejection
from .state import BreakerState, evolve
from .times import Now, remaining_us


class Journal(Protocol):
    """Where the machine's events go."""

    @property
    def writable(self) -> bool:
        """Whether the log can be written; no probe may start while it cannot."""
        ...

    def add(self, event: Event) -> None:
        """Take an event, in order, to be logged soon."""
        ...

    def due(self, after_s: float) -> None:
        """Ask for a `tick` after this time."""
        ...


class Core:
    """The state, and the ways in which it changes."""

    __slots__ = (
        "_behind",
        "_state",
        "clocked",
        "config",
        "errors",
        "free",
        "generation",
        "journal",
        "name",
        "neutral",
        "proposed",
        "ready",
        "rejected",
    )

    def __init__(
        self, name: str, config: BreakerConfig, journal: Journal | None
    ) -> None:
        self.config = config
        """What the code asks for; `state.config` is what is in force."""
        self.journal = journal
        self.ready = journal is None
        """False until the log has told what the state is."""
        self.name = name
        self._state: BreakerState | None = None
        self.generation = Generation(self.state, Now(0, 0), ready=self.ready)
        self.free: Generation | None = None
        """The generation that lets calls pass without a look at the clock."""
        self.clocked: Generation | None = None
        """The one that lets them pass with a look; if there is neither, they have to ask."""
        self._hang_doors()
        self.neutral: int = 0
        """Calls ignored or cancelled since the last roll-up."""
        self.rejected: int = 0
        """Calls refused since then."""
        self.errors: tuple[str, ...] = ()
        """The classes of the last errors."""
        self.proposed: tuple[Event, ...] = ()
        """What a person has decided and is not durable yet."""
        self._behind: tuple[BreakerState, Events] | None = None
        """What was told since, which the log has behind it, and the state before."""

    @property
    def state(self) -> BreakerState:
        """What the events so far tell; while there are none, only the settings count."""
        if self._state is not None:
            return self._state
        if self.ready:
            config = self.config
            return BreakerState(self.name, config=config, config_version=1, code=config)
        return BreakerState(self.name)

    @state.setter
    def state(self, state: BreakerState) -> None:
        self._state = state

    def refusal(self, now_s: float) -> Rejection | None:
        """Return the rejection of a call that comes before the phase is over."""
        generation = self.generation
        left_s = generation.until_s - now_s
        if left_s <= 0:
            return None
        if left_s == inf:
            left_s = self.state.config.cooldown_max_s
        return Rejection(left_s, generation.phase)

    def _hang_doors(self, *, free: bool = False) -> None:
        """Say by which door calls come in; `free` if an alarm turns the window."""
        generation = self.generation
        self.free = self.clocked = None
        if generation.gated:
            return
        if generation.timed or (generation.clocked and not free):
            self.clocked = generation
        else:
            self.free = generation

    def alarm_set(self, at_s: float) -> None:
        """Let calls pass without a look at the clock: `alarm_rang` is called then."""
        self.generation.alarm_s = at_s
        self._hang_doors(free=True)

    def alarm_rang(self, set_for_s: float, clock_us: int) -> None:
        """Turn the window; calls look at the clock again until another alarm is set."""
        generation = self.generation
        if self.free is not generation or generation.alarm_s != set_for_s:
            return  # it has been replaced or is not needed any more
        generation.turn(clock_us)
        self._hang_doors()

    @property
    def frozen(self) -> bool:
        """Whether a person's decision is on its way to the disk: no other is made."""
        return bool(self.proposed)

    def roll_up(self, now: Now) -> None:
        """Tell the journal all that was counted."""
        generation = self.generation
        generation.turn(now.clock_us)
        counted = generation.seq != generation.rolled_seq
        if counted or self.neutral or self.rejected:
            event = generation.roll_up(now, self.neutral, self.rejected, self.errors)
            self.neutral = self.rejected = 0
            self._emit(event)

    def propose(self, action: Callable[[BreakerState], Events], now: Now) -> Events:
        """Decide for a person; it comes into force when it is durable (`confirm`)."""
        state = self.state
        for event in self.proposed:
            state = evolve(state, event)
        if not self.frozen:
            self.roll_up(now)
        events = action(state)
        if self.journal is None:
            for event in events:
                self._apply(event, now)
            return events
        self.proposed += tuple(events)
        for event in events:
            self.journal.add(event)
        return events

    def confirm(self, event: Event, now: Now) -> None:
        """Put a decision into force that has become durable; ignore other events."""
        if not self.proposed or event is not self.proposed[0]:
            return
        self.proposed = self.proposed[1:]
        self._apply(event, now)
        if not self.proposed:
            self._thaw(now)

    def forget(self, now: Now) -> Events:
        """Drop the decisions that did not become durable, and return them."""
        dropped, self.proposed = self.proposed, ()
        self._behind = None
        self._thaw(now)
        return dropped

    def _apply(self, event: Event, now: Now) -> None:
        """Go on from a decision in the order of the log."""
        state, behind = self._behind or (self.state, ())
        state = evolve(state, event)
        self._behind = (state, behind) if self.proposed else None
        for later in behind:
            state = evolve(state, later)
        self.state = state
        self.ready = self.ready or self.state.config_version > 0
        self.roll_up(now)
        if isinstance(event, Configured):
            self.generation.fit(self.state, now, ready=self.ready)
            self._hang_doors()
        else:
            self._begin(now)

    def _thaw(self, now: Now) -> None:
        """Catch up on what was not decided meanwhile."""
        raise NotImplementedError

    def load(self, state: BreakerState, now: Now) -> None:
        """Take over the state that the log holds, at the start."""
        self.state = state
        self.errors = state.errors
        self.proposed = ()
        self._behind = None
        self._emit(*decide.restarted(state, now))
        self.ready = state.config_version > 0 and state.code == self.config
        self._begin(now)
        if not self.ready:
            self.propose(lambda state: decide.configured(state, self.config, now), now)

    def stop(self, now: Now) -> None:
        """Tell the journal everything: the end is near, in good order."""
        if self.ready:
            self.roll_up(now)
            self._emit(Flushed(now.wall_us, self.state.generation))

    def _emit(self, *events: Event) -> None:
        for event in events:
            if self.proposed:
                before, behind = self._behind or (self.state, ())
                self._behind = (before, (*behind, event))
            self.state = evolve(self.state, event)
            if self.journal is not None:
                self.journal.add(event)

    def _change(self, now: Now, *events: Event) -> None:
        """Go over to another generation; what the old one counted is told first."""
        before = self.state.generation
        self.roll_up(now)
        self._emit(*events)
        if self.state.generation != before:
            self._begin(now)

    def _begin(self, now: Now) -> None:
        self.generation.retire()
        self.generation = Generation(self.state, now, ready=self.ready)
        self._hang_doors()
        self._watch_override(now)

    def _watch_override(self, now: Now) -> None:
        """Have a passing override looked at when it ends, whether calls come or not."""
        until = self.state.until
        if self.journal is not None and until and self.state.phase in TRANSPARENT:
            self.journal.due(remaining_us(until, now) / 1e6)
