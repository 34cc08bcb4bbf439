"""Whatever is asked of a queue, replay equals life and nothing vanishes."""

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.actors.dead_letters.ages import Ages
from dramaturg.actors.dead_letters.deciding import (
    Setting,
    admit,
    cancel,
    evict,
    redrive,
    refused,
)
from dramaturg.actors.dead_letters.desk import wished
from dramaturg.actors.dead_letters.entry import FOLD, Entry, evolve
from dramaturg.actors.dead_letters.errors import DeadLetterError, EntryBusyError
from dramaturg.actors.dead_letters.messages import (
    CancelRedrive,
    Claim,
    Discard,
    Escalate,
    Note,
    Prioritise,
    Redrive,
    Release,
    Resolve,
    Selection,
)
from dramaturg.actors.dead_letters.parking import park
from dramaturg.actors.dead_letters.policy import QueuePolicy
from dramaturg.actors.dead_letters.queue import evict_oldest, expire_old, redrive_due
from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.runtime import Message
from dramaturg.events import Event, Registry
from dramaturg.events.dead_letters import (
    EVENTS,
    Evicted,
    Parked,
    RedriveRequested,
    Returned,
    Strategy,
)

REGISTRY = Registry(EVENTS)
SECOND = 1_000_000
POLICY = QueuePolicy(
    entries_max=4,
    ttl_s=500.0,
    retry=RetryPolicy(base_s=10.0, cap_s=100.0, jitter=False),
)
ENDS = {"returned", "evicted", "expired", "discarded", "resolved"}


def parked(
    number: int, strategy: Strategy = "exponential", redrives: int = 0, at_us: int = 0
) -> Parked:
    return park(
        item=f"item/p/{number}",
        item_version=3,
        pipeline="p",
        stage="s",
        error="OSError",
        message="no",
        at_us=at_us,
        attempts=3,
        strategy=strategy,
        redrives=redrives,
        redrives_max=3,
        target="db" if number % 2 else "",
    )


class Queue:
    """The pure parts of a queue, put together as its actor does."""

    def __init__(self) -> None:
        self.open: dict[str, Entry] = {}
        self.lives: dict[str, list[Event]] = {}
        self.ended: dict[str, Entry] = {}
        self.ages = Ages()
        self.now_us = 0
        self.batches = [""]

    @property
    def setting(self) -> Setting:
        return Setting(self.now_us, by="me", policy=POLICY)

    def apply(self, changes: Mapping[str, tuple[Event, ...]]) -> None:
        for stream, events in changes.items():
            for event in events:
                self.lives[stream].append(event)
                state = evolve(self.open[stream], event)
                self.open[stream] = state
                if type(event).closes:
                    self.ended[stream] = self.open.pop(stream)

    def park(self, strategy: Strategy, redrives: int) -> None:
        number = len(self.lives)
        stream = f"dead-letter/q/{number}"
        event = parked(number, strategy, redrives, self.now_us)
        self.lives[stream] = [event]
        self.open[stream] = entry = evolve(FOLD.initial(stream), event)
        self.ages.add(entry)
        self.apply({stream: admit(entry, self.setting)})
        surplus = len(self.open) - POLICY.entries_max
        if surplus > 0:
            self.apply(
                evict_oldest(self.open, self.ages, surplus, self.setting, keep=stream)
            )

    def ask(self, command: Message) -> None:
        try:
            decision = wished(self.open, command, self.setting)
        except DeadLetterError:
            return
        if isinstance(command, Redrive):
            self.batches.append(decision.reply.batch)
        self.apply({write.stream: write.events for write in decision.writes})

    def redrive_due(self, allowed: int) -> None:
        self.apply(
            redrive_due(
                self.open, lambda _t, _n: allowed, self.setting, planned_only=False
            )
        )

    def answer(self, *, taken: bool) -> None:
        for stream, entry in list(self.open.items()):
            if entry.place == "redriving":
                events = refused(entry, "no", self.setting)
                if taken:
                    events = (Returned(at_us=self.now_us),)
                self.apply({stream: events})


names = st.integers(0, 9).map(lambda number: f"dead-letter/q/{number}")
selections = st.builds(
    Selection,
    entries=st.lists(names, max_size=2).map(tuple),
    target=st.sampled_from(["", "db"]),
    stage=st.sampled_from(["", "s", "t"]),
)
commands: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Redrive,
        selection=selections,
        per_s=st.sampled_from([0.0, 0.5]),
        dry_run=st.booleans(),
        payload=st.sampled_from([None, msgspec.Raw(b"1")]),
    ),
    st.builds(Discard, selection=selections, reason=st.sampled_from(["", "x"])),
    st.builds(Resolve, selection=selections, reason=st.just("x")),
    st.builds(Claim, entry=names),
    st.builds(Release, entry=names),
    st.builds(Note, entry=names, text=st.just("x")),
    st.builds(Escalate, entry=names, reason=st.just("x")),
    st.builds(Prioritise, entry=names, priority=st.integers(-1, 1)),
)
strategies: st.SearchStrategy[Strategy] = st.sampled_from(
    ["exponential", "linear", "fixed", "fibonacci", "manual", "none"]
)


@given(st.data())
def test_replay_equals_life_and_nothing_vanishes_without_an_event(
    data: st.DataObject,
) -> None:
    queue = Queue()
    for _ in range(data.draw(st.integers(5, 25))):
        match data.draw(st.sampled_from("ppcccbwwrrta")):
            case "p":
                queue.park(data.draw(strategies), data.draw(st.integers(0, 4)))
            case "c":
                queue.ask(data.draw(commands))
            case "b":
                queue.ask(CancelRedrive(data.draw(st.sampled_from(queue.batches)), "x"))
            case "w":
                queue.now_us += data.draw(st.integers(1, 200)) * SECOND
            case "r":
                queue.redrive_due(data.draw(st.integers(0, 2)))
            case "t":
                queue.apply(expire_old(queue.open, queue.setting))
            case _:
                queue.answer(taken=data.draw(st.booleans()))
        going_back = [e for e in queue.open.values() if e.place == "redriving"]
        assert len(queue.open) <= max(POLICY.entries_max, len(going_back) + 1)

    assert set(queue.lives) == set(queue.open) | set(queue.ended)
    assert not set(queue.open) & set(queue.ended)
    assert {entry.place for entry in queue.open.values()} <= {"parked", "redriving"}
    assert {entry.place for entry in queue.ended.values()} <= ENDS
    for stream, lived in (queue.open | queue.ended).items():
        assert replayed(stream, queue.lives[stream]) == lived
        assert msgspec.json.decode(msgspec.json.encode(lived), type=FOLD.state) == lived


def replayed(stream: str, life: list[Event]) -> Entry:
    state = FOLD.initial(stream)
    for lived in life:
        data = msgspec.json.encode(lived)
        event = REGISTRY.decode(lived.tag, lived.version, data)
        assert isinstance(event, Event)
        state = FOLD.evolve(state, event)
    return state


def test_the_delays_grow_as_the_strategy_says() -> None:
    def due(strategy: Strategy, redrives: int) -> float:
        stream = "dead-letter/q/1"
        entry = evolve(FOLD.initial(stream), parked(1, strategy, redrives))
        (event,) = admit(entry, Setting(0, policy=POLICY))
        return evolve(entry, event).due_us or -1

    assert [due("exponential", n) / SECOND for n in range(3)] == [10, 20, 40]
    assert [due("linear", n) / SECOND for n in range(3)] == [10, 20, 30]
    assert [due("fixed", n) / SECOND for n in range(3)] == [10, 10, 10]
    assert [due("fibonacci", n) / SECOND for n in range(3)] == [10, 10, 20]
    assert due("exponential", 3) == -1
    assert due("manual", 0) == -1


def test_what_cannot_help_is_escalated_and_what_is_none_is_left_alone() -> None:
    queue = Queue()
    queue.park("manual", 0)
    queue.park("exponential", 3)
    queue.park("none", 0)

    manual, spent, none = (entry.escalated for entry in queue.open.values())
    assert "person" in manual
    assert "in vain" in spent
    assert not none


def test_an_entry_on_its_way_back_is_written_by_its_owner_alone() -> None:
    queue = Queue()
    queue.park("fixed", 0)
    queue.now_us = 20 * SECOND
    queue.redrive_due(1)
    (entry,) = queue.open.values()
    assert entry.place == "redriving"

    for command in (
        Claim(entry.stream),
        Discard(Selection(entries=(entry.stream,)), "x"),
        Redrive(Selection(entries=(entry.stream,))),
    ):
        with pytest.raises(EntryBusyError):
            wished(queue.open, command, queue.setting)
    with pytest.raises(EntryBusyError):
        evict(entry, queue.setting)
    queue.now_us = 9999 * SECOND
    assert expire_old(queue.open, queue.setting) == {}


def test_the_most_urgent_is_redriven_first_and_claimed_ones_wait() -> None:
    queue = Queue()
    for _ in range(5):
        queue.park("fixed", 0)
        queue.ask(Discard(Selection(target="db"), "only one target is wanted here"))
    first, second, third = queue.open
    queue.ask(Prioritise(third, 5))
    queue.ask(Claim(first))
    queue.now_us = 20 * SECOND

    redriven: list[set[str]] = []
    for _ in range(3):
        queue.redrive_due(1)
        redriven.append({e.stream for e in queue.open.values() if e.place != "parked"})

    assert redriven == [{third}, {second, third}, {second, third}]
    queue.ask(Release(first))
    queue.redrive_due(1)
    assert RedriveRequested in map(type, queue.lives[first])


def test_what_was_overtaken_changes_nothing() -> None:
    queue = Queue()
    queue.park("fixed", 0)
    (entry,) = queue.open.values()

    assert redrive(entry, queue.setting) == ()
    assert refused(entry, "too late", queue.setting) == ()
    queue.now_us = 20 * SECOND
    queue.redrive_due(1)
    (entry,) = queue.open.values()
    assert cancel(entry, "too late", queue.setting) == ()
    assert admit(entry, queue.setting) == ()


def test_a_full_queue_evicts_its_oldest_visibly() -> None:
    queue = Queue()
    for _ in range(6):
        queue.park("none", 0)
        queue.now_us += 1

    evicted = [s for s, life in queue.lives.items() if type(life[-1]) is Evicted]
    assert evicted == ["dead-letter/q/0", "dead-letter/q/1"]


def test_an_event_of_another_kind_is_no_part_of_a_dead_letter() -> None:
    class Strange(Event, tag="strange"):
        pass

    with pytest.raises(TypeError, match="strange"):
        evolve(FOLD.initial("dead-letter/q/1"), Strange())
