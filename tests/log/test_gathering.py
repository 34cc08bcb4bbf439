"""When a group is handed over: at once for one, together for many."""

from dramaturg.events.log import gathering
from dramaturg.events.log.gathering import Gathering


def after_a_group(of: int, took_s: float = 1.0) -> Gathering:
    group = Gathering()
    group.sent(of, 0.0)
    group.answered(of, took_s)
    return group


def test_the_first_append_waits_for_no_other() -> None:
    assert Gathering().is_complete(1, 0.0)


def test_who_appends_alone_waits_for_no_other() -> None:
    assert after_a_group(of=1).is_complete(1, 1.0)


def test_a_group_is_complete_when_all_who_were_answered_have_come() -> None:
    group = after_a_group(of=3)

    assert [group.is_complete(n, 1.0) for n in (1, 2, 3)] == [False, False, True]


def test_what_was_handed_over_counts_as_come() -> None:
    group = after_a_group(of=3)
    group.sent(2, 1.0)

    assert group.is_complete(1, 1.0)


def test_a_group_is_complete_when_nobody_comes_for_some_ticks() -> None:
    group = after_a_group(of=100)
    waits = 0
    while not group.is_complete(5, 1.0):
        waits += 1

    assert waits == gathering.IDLE_TICKS
    assert group.is_complete(1, 1.0), "who did not come is not waited for again"


def test_more_is_not_waited_for_longer_than_a_group_takes() -> None:
    group = after_a_group(of=100, took_s=0.002)

    assert not group.is_complete(1, 1.0)
    assert not group.is_complete(2, 1.0015)
    assert group.is_complete(3, 1.0025)


def test_a_slow_disk_is_no_reason_to_wait_long() -> None:
    group = after_a_group(of=100, took_s=60.0)

    assert not group.is_complete(1, 100.0)
    assert group.is_complete(2, 100.0 + 2 * gathering.PATIENCE_MAX_S)
