"""The actor of a dead letter queue: it keeps failed work and hands it back."""

from collections.abc import Iterable, Mapping
from functools import partial

from ...events import Event
from ...events.dead_letters import (
    Discarded,
    Evicted,
    Expired,
    RedriveRequested,
    Resolved,
    RetryScheduled,
)
from ..runtime import (
    ChildSpec,
    Message,
    OwnerContext,
    OwnerDecision,
    StreamOwner,
    handles,
)
from ..runtime.stream_owner import SNAPSHOT_EVERY
from .ages import Ages
from .counts import Counts
from .deciding import Setting, admit, erased, refused
from .desk import wished, writes
from .entry import FOLD, Entry
from .handing import Handing, Owners, forgotten
from .messages import (
    Adopt,
    Answered,
    FoundInLog,
    GetStatistics,
    HasRoom,
    ListEntries,
    LookedUp,
    Round,
    Start,
    Statistics,
    Sweep,
)
from .policy import QueuePolicy
from .queue import (
    TURN_MAX,
    Changes,
    count,
    evict_oldest,
    expire_old,
    redrive_due,
    select,
)
from .ramp import GateKeeper, Ramp, always_open_gate
from .redaction import redacted_entry
from .rooms import Rooms

Entries = Mapping[str, Entry]


class DeadLetterActor(StreamOwner[Entry]):
    """Owns the open entries of one queue.

    `gate` tells what the breaker of an entry's target says to redrives; `owners`
    finds who takes work back, by default the pipeline or coordinator whose stream
    the work is. While an entry is being handed back this actor writes nothing to
    it: the next event is its owner's.
    """

    fold = FOLD
    snapshot_every = SNAPSHOT_EVERY

    def __init__(
        self,
        queue: str,
        policy: QueuePolicy | None = None,
        *,
        gate: GateKeeper = always_open_gate,
        owners: Owners | None = None,
    ) -> None:
        self.prefix = f"dead-letter/{queue}/"
        self._policy = policy or QueuePolicy()
        self._gate = gate
        self._owners = owners
        self._ramp = Ramp(self._policy.redrives_at_once_max)
        self._ages = Ages()
        self._rooms = Rooms()
        self._counts = Counts()
        self._size = 0
        """Entries that have not ended, durably or not."""
        self._handing: Handing

    async def starting(self) -> None:
        """Have asked nobody yet."""
        self._handing = Handing(self.ctx, self._owners, self._policy.take_back_s)

    @staticmethod
    def spec(
        queue: str,
        policy: QueuePolicy | None = None,
        *,
        gate: GateKeeper = always_open_gate,
        owners: Owners | None = None,
    ) -> ChildSpec:
        """Describe the actor to a supervisor."""
        factory = partial(DeadLetterActor, queue, policy, gate=gate, owners=owners)
        return ChildSpec(id=queue, factory=factory)

    # Decisions

    def decide(
        self, states: Entries, command: Message, ctx: OwnerContext
    ) -> OwnerDecision:
        """Decide about one entry, several or all."""
        setting = self._setting(ctx)
        match command:
            case Adopt():
                return writes(self._adopted(states, [command], ctx))
            case HasRoom():
                room = self._rooms.reserve(command.item, self._size, setting)
                return OwnerDecision(reply=room)
            case Round() | Start() | Sweep() | FoundInLog():
                return writes(self._upkeep(states, command, ctx))
            case Answered() | LookedUp():
                return writes(self._answered(states, command, ctx))
            case _:
                return wished(states, command, setting)

    def _setting(self, ctx: OwnerContext) -> Setting:
        draw = ctx.random.random()
        return Setting(ctx.now_us, by=ctx.by, draw=draw, policy=self._policy)

    def _adopted(
        self, states: Entries, adoptions: Iterable[Adopt], ctx: OwnerContext
    ) -> Changes:
        """Take entries over, which are on disk already, and plan their retries."""
        setting, changes = self._setting(ctx), Changes()
        for adoption in adoptions:
            stream = adoption.stream
            if stream in states:
                continue
            ctx.adopt(stream, adoption.events, adoption.owner)
            entry = states.get(stream)
            if entry is None:
                continue
            self._counts.parked += 1
            self._rooms.use(entry.item)
            if entry.place == "redriving":
                self._handing.ask(entry)
            elif events := admit(entry, setting):
                changes[stream] = events
            changes |= self._evict(states, setting, keep=stream)
        return changes

    def _upkeep(
        self,
        states: Entries,
        command: Round | Start | Sweep | FoundInLog,
        ctx: OwnerContext,
    ) -> Changes:
        setting = self._setting(ctx)
        match command:
            case Round():
                if not command.planned_only:
                    self._ask_again(states)
                self._pace(states, ctx)
                allowance = self._allowance
                planned = command.planned_only
                return redrive_due(states, allowance, setting, planned_only=planned)
            case Sweep():
                self._look_in_the_log(ctx)
                changes = expire_old(states, setting)
                if len(changes) == TURN_MAX:
                    ctx.timers.once("sweep again", 0, Sweep())
                return changes
            case Start():
                self._ask_again(states)
                ctx.timers.once("pace", 0, Round(planned_only=True))
                changes = {
                    entry.stream: erased(setting)
                    for entry in states.values()
                    if entry.erased
                }
                fresh = [e for e in states.values() if e.version == 1 and not e.erased]
                changes |= {entry.stream: admit(entry, setting) for entry in fresh}
                return changes | self._evict(states, setting)
            case FoundInLog():
                return self._adopted(states, command.adoptions, ctx)

    def _evict(self, states: Entries, setting: Setting, keep: str = "") -> Changes:
        surplus = self._size - self._policy.entries_max
        if self._policy.limit != "evict_oldest" or surplus <= 0:
            return {}
        return evict_oldest(states, self._ages, surplus, setting, keep)

    def _allowance(self, target: str, in_flight: int) -> int:
        return self._ramp.allow(target, self._gate(target), in_flight)

    def _answered(
        self, states: Entries, command: Answered | LookedUp, ctx: OwnerContext
    ) -> Changes:
        """Let go of what was taken back; keep what its owner did not want."""
        entry = states.get(command.stream)
        if entry is None or entry.place != "redriving":
            return {}
        if isinstance(command, Answered):
            self._handing.answered(command.stream)
            if command.taken:
                self._let_go(command.stream, ctx)
            elif command.taken is None:
                ctx.log.warning(
                    "dead_letter.unanswered", entry=entry.stream, error=command.error
                )
            else:
                self._handing.look_up(entry)
            return {}
        if command.version > entry.version:
            self._let_go(command.stream, ctx)
        elif command.version == entry.version:
            reason = "its owner did not take the work back"
            return {entry.stream: refused(entry, reason, self._setting(ctx))}
        return {}

    def _let_go(self, stream: str, ctx: OwnerContext) -> None:
        self._counts.returned += 1
        ctx.release(stream)

    # Effects

    def react(self, stream: str, event: Event, ctx: OwnerContext) -> None:
        """Hand work back once that is on disk, and count what has ended."""
        match event:
            case RedriveRequested():
                entry = self.states.get(stream)
                if entry is not None:
                    self._handing.ask(entry)
            case RetryScheduled():
                if event.batch:
                    ctx.timers.once("pace", 0, Round(planned_only=True))
            case Evicted():
                self._counts.evicted += 1
            case Expired():
                self._counts.expired += 1
            case Discarded():
                self._counts.discarded += 1
            case Resolved():
                self._counts.resolved += 1
            case _:
                pass

    def _ask_again(self, states: Entries) -> None:
        """Ask the owners who have not answered, or not before a restart."""
        for entry in states.values():
            if entry.place == "redriving" and not entry.erased:
                self._handing.ask(entry)

    def _look_in_the_log(self, ctx: OwnerContext) -> None:
        """Look for entries that were opened and not announced."""
        log = ctx.system.needed_log(self.prefix)
        search = forgotten(log, self.prefix, frozenset(self.states), TURN_MAX)
        ctx.run(search, then=lambda found: found, failed=lambda _: FoundInLog(()))

    def _pace(self, states: Entries, ctx: OwnerContext) -> None:
        """Wake up for the next of the bulk redrives."""
        due = [e.due_us for e in states.values() if e.batch and e.due_us is not None]
        if due:
            away_s = (min(due) - ctx.now_us) / 1e6
            after_s = max(self._policy.pace_s, away_s)
            ctx.timers.once("pace", after_s, Round(planned_only=True))

    # Recovery

    def resume(self, states: Entries, ctx: OwnerContext) -> None:
        """Start the clockwork, and go on with what was under way."""
        del states
        ctx.timers.once("start", 0, Start())
        ctx.timers.every("sweep", self._policy.sweep_s, Sweep())
        ctx.timers.every("retries", self._policy.retry_s, Round())

    def changed(self, stream: str, before: Entry | None, after: Entry | None) -> None:
        """Keep count and the ages."""
        del stream
        self._size += _is_open(after) - _is_open(before)
        if before is None and after is not None:
            self._ages.add(after)

    # Questions

    @handles
    def list_entries(self, message: ListEntries) -> tuple[Entry, ...]:
        """List entries, without secrets in their messages."""
        meant = select(self.states, message.selection)
        chosen = meant[: message.selection.entries_max]
        return tuple(redacted_entry(entry) for entry in chosen)

    @handles
    def get_statistics(self, _message: GetStatistics) -> Statistics:
        """Return the queue in numbers."""
        setting = Setting(self.ctx.now_us, policy=self._policy)
        reserved = len(self._rooms)
        return count(self.states, self._ages, self._counts, reserved, setting)


def _is_open(entry: Entry | None) -> bool:
    return entry is not None and entry.place in {"parked", "redriving"}
