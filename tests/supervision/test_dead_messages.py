"""What becomes of messages that reach nobody."""

import msgspec
from structlog.testing import capture_logs

from dramaturg.actors.runtime import Message
from dramaturg.actors.runtime.dead_messages import DeadMessage, DeadMessages, Reason
from dramaturg.actors.runtime.event_stream import EventStream


class Hello(msgspec.Struct, frozen=True):
    number: int = 0


def dead(number: int, reason: Reason = "stopped", at_s: int = 1) -> DeadMessage:
    return DeadMessage(reason, Hello(number), "/a", "/b", at_s * 1_000_000)


def test_the_store_keeps_the_latest_and_counts_them_all() -> None:
    store = DeadMessages(EventStream(), capacity=2)

    for number in range(3):
        store.add(dead(number))
    store.add(dead(3, "unhandled"))

    assert [each.message for each in store.latest] == [Hello(2), Hello(3)]
    assert store.count == 4
    assert store.counts == {"stopped": 3, "unhandled": 1}


class Reminder(Message):
    expendable = True


def test_what_only_reminds_is_counted_and_not_told_about() -> None:
    stream = EventStream()
    heard: list[DeadMessage] = []
    stream.subscribe(DeadMessage, heard.append)
    store = DeadMessages(stream)

    with capture_logs() as lines:
        store.add(DeadMessage("stopped", Reminder(), "/a", None, 1))

    assert (store.count, store.latest, heard, lines) == (1, (), [], [])


def test_a_subscriber_hears_of_each_until_it_has_enough() -> None:
    stream = EventStream()
    store = DeadMessages(stream)
    heard: list[DeadMessage] = []
    deaf: list[Hello] = []
    enough = stream.subscribe(DeadMessage, heard.append)
    stream.subscribe(Hello, deaf.append)

    store.add(dead(1))
    enough()
    enough()
    store.add(dead(2))

    assert heard == [dead(1)]
    assert deaf == []


def test_who_subscribes_to_a_base_hears_its_subclasses() -> None:
    stream = EventStream()
    heard: list[msgspec.Struct] = []
    stream.subscribe(msgspec.Struct, heard.append)

    stream.publish(Hello(1))

    assert heard == [Hello(1)]


def test_a_subscriber_that_raises_harms_nobody_else() -> None:
    stream = EventStream()
    heard: list[Hello] = []

    def raising(_: Hello) -> None:
        raise ValueError

    stream.subscribe(Hello, raising)
    stream.subscribe(Hello, heard.append)

    with capture_logs() as lines:
        stream.publish(Hello(1))

    assert heard == [Hello(1)]
    assert [line["event"] for line in lines] == ["subscriber.failed"]


def test_a_flood_of_dead_messages_writes_few_lines() -> None:
    store = DeadMessages(EventStream(), lines_max=2, lines_within_s=60.0)

    with capture_logs() as lines:
        for number in range(100):
            store.add(dead(number))
        store.add(dead(100, at_s=62))

    assert [line["event"] for line in lines] == [
        "message.dead",
        "message.dead",
        "message.dead_muted",
        "message.dead",
    ]
    assert lines[2]["messages"] == 98
    assert lines[3]["target"] == "/a"
    assert lines[3]["sender"] == "/b"
