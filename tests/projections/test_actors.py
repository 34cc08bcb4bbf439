"""The actors of all systems of a log, as of any position."""

from collections.abc import Callable

import pytest

from dramaturg.events import Event
from dramaturg.events.actors import (
    ActorCount,
    ActorFailed,
    ActorsCounted,
    ActorStopped,
    SystemStarted,
    SystemStopped,
)
from dramaturg.events.log import Reader
from dramaturg.projections import BeyondEndError, actor_views, systems

ONE, TWO = "system/one", "system/two"
COUNTS = (ActorCount("/"), ActorCount("/a", "A", depth=3, dropped=1, handled=50))
EVENTS: list[tuple[str, Event]] = [
    (ONE, SystemStarted(0, 1)),
    (ONE, ActorsCounted(10_000_000, COUNTS)),
    (TWO, SystemStarted(0, 2)),
    (ONE, ActorFailed(10_000_001, "/a", "KeyError", "'x'", "Get")),
    (ONE, ActorStopped(10_000_002, "/a", "KeyError", "'x'")),
    (ONE, SystemStopped(10_000_003)),
]


def test_a_system_is_there_from_its_start_on(play: Callable[..., Reader]) -> None:
    reader = play(EVENTS)

    assert [(each.name, each.running) for each in systems(reader)] == [
        ("one", False),
        ("two", True),
    ]
    assert [each.name for each in systems(reader, at=2)] == ["one"]
    assert systems(reader, at=0) == []
    with pytest.raises(BeyondEndError):
        systems(reader, at=7)


def test_an_actor_is_shown_with_its_mailbox_its_rate_and_its_failure(
    play: Callable[..., Reader],
) -> None:
    reader = play(EVENTS)

    (before, *_) = systems(reader, at=4)
    root, actor = actor_views(before)
    assert (root.path, root.level) == ("/", 0)
    assert (actor.system, actor.path, actor.level) == ("one", "/a", 1)
    assert (actor.depth, actor.capacity, actor.dropped) == (3, 1000, 1)
    assert (actor.handled, actor.rate_per_s) == (50, 5.0)
    assert (actor.state, actor.failures) == ("failed", 1)
    assert actor.failure == "KeyError: 'x'"

    (after, *_) = systems(reader)
    *_, dead = actor_views(after)
    assert (dead.path, dead.state, dead.failed_us) == ("/a", "stopped", 10_000_002)
