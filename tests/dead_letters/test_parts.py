"""The small parts: fingerprints, packing, secrets, ages, reservations, the ramp."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.actors.dead_letters.ages import Ages
from dramaturg.actors.dead_letters.deciding import Setting
from dramaturg.actors.dead_letters.entry import Entry, Place
from dramaturg.actors.dead_letters.fingerprint import fingerprint, shape
from dramaturg.actors.dead_letters.messages import Limit
from dramaturg.actors.dead_letters.parking import park
from dramaturg.actors.dead_letters.payload import PACKED_FROM_BYTES, pack, unpack
from dramaturg.actors.dead_letters.policy import QueuePolicy
from dramaturg.actors.dead_letters.ramp import Gate, Ramp, always_open_gate
from dramaturg.actors.dead_letters.redaction import (
    HIDDEN,
    redacted_entry,
    redacted_payload,
    redacted_text,
)
from dramaturg.actors.dead_letters.rooms import Rooms


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no row 17", "no row 4711"),
        ("cannot open '/tmp/a b.pdf'", 'cannot open "x"'),
        ("open /tmp/a.pdf failed", "open /var/b/c.pdf failed"),
        ("at 0x7f00aa", "at 0x7f00bb"),
        ("GET https://a.example/x?y=1", "GET https://b.example/"),
        ("id 0192aa33-bb44-7c55-8d66-ee77ff889900", "id 1"),
        ("two  spaces", "two spaces"),
    ],
)
def test_messages_of_one_cause_have_one_fingerprint(one: str, other: str) -> None:
    assert shape(one) == shape(other)
    assert fingerprint("E", "s", one) == fingerprint("E", "s", other)


def test_other_causes_have_other_fingerprints() -> None:
    prints = {
        fingerprint("E", "s", "disk full"),
        fingerprint("E", "s", "no such table"),
        fingerprint("E", "t", "disk full"),
        fingerprint("F", "s", "disk full"),
    }

    assert len(prints) == 4


@given(st.text(max_size=100), st.integers(1, 200))
def test_a_payload_is_unpacked_as_it_was(text: str, times: int) -> None:
    payload = msgspec.Raw(msgspec.json.encode(text * times))

    kept, packed = pack(payload)

    assert bytes(unpack(kept, packed=packed)) == bytes(payload)
    assert len(bytes(kept)) <= len(bytes(payload))
    if len(bytes(payload)) < PACKED_FROM_BYTES:
        assert not packed


def test_a_large_payload_is_packed() -> None:
    _, packed = pack(msgspec.Raw(msgspec.json.encode("x" * 10_000)))

    assert packed


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        "Authorization: Bearer hunter2",
        '{"api_key": "hunter2"}',
        "postgres://me:hunter2@host/db",
        "client_secret: 'hunter2'",
    ],
)
def test_secrets_are_not_shown(text: str) -> None:
    assert "hunter2" not in redacted_text(text)
    assert HIDDEN in redacted_text(text)


def test_secrets_in_payloads_are_not_shown() -> None:
    payload = {"user": "me", "in": [{"Token": "hunter2"}, "password=hunter2"], "n": 1}
    raw = msgspec.Raw(msgspec.json.encode(payload))

    shown = msgspec.json.decode(redacted_payload(raw))

    assert shown["user"] == "me"
    assert shown["n"] == 1
    assert "hunter2" not in str(shown)
    one = redacted_entry(Entry("x", message="token=hunter2", edited=raw))
    assert one.message == f"token={HIDDEN}"
    assert one.edited
    assert b"hunter2" not in bytes(one.edited)
    assert redacted_entry(Entry("x")) == Entry("x")


def entry(
    name: str, at_us: int, *, place: Place = "parked", claimed_by: str = ""
) -> Entry:
    return Entry(name, place=place, parked_us=at_us, claimed_by=claimed_by)


def test_the_oldest_go_first_and_the_claimed_last() -> None:
    entries = {
        "a": entry("a", 1, claimed_by="me"),
        "b": entry("b", 2, place="redriving"),
        "c": entry("c", 3),
        "d": entry("d", 4),
    }
    ages = Ages()
    for one in entries.values():
        ages.add(one)

    assert [e.stream for e in ages.oldest(entries, 1)] == ["c"]
    assert [e.stream for e in ages.oldest(entries, 3)] == ["c", "d", "a"]
    assert ages.oldest_us(entries) == 1
    del entries["a"], entries["b"]
    assert [e.stream for e in ages.oldest(entries, 9)] == ["c", "d"]
    assert ages.oldest_us(entries) == 3
    assert ages.oldest_us({}) is None


def setting(limit: Limit, now_us: int = 0) -> Setting:
    policy = QueuePolicy(entries_max=2, limit=limit, reservation_s=10)
    return Setting(now_us, policy=policy)


def test_places_are_promised_up_to_the_limit() -> None:
    rooms = Rooms()
    now = setting("reject_new")

    assert rooms.reserve("a", 1, now)
    assert rooms.reserve("a", 1, now)
    assert not rooms.reserve("b", 1, now)
    rooms.use("a")
    assert len(rooms) == 0
    assert rooms.reserve("b", 1, now)


def test_a_promise_runs_out() -> None:
    rooms = Rooms()
    assert rooms.reserve("a", 1, setting("reject_new"))

    assert not rooms.reserve("b", 1, setting("reject_new", 9_999_999))
    assert rooms.reserve("b", 1, setting("reject_new", 10_000_000))


def test_a_queue_that_evicts_always_has_room() -> None:
    assert Rooms().reserve("a", 99, setting("evict_oldest"))


def test_an_open_breaker_lets_nothing_pass_and_a_half_open_one_its_budget() -> None:
    ramp = Ramp(20)

    assert ramp.allow("db", always_open_gate("db"), 0) == 20
    assert ramp.allow("db", Gate("open"), 0) == 0
    assert ramp.allow("db", Gate("half_open", 3), 0) == 3
    assert ramp.allow("db", Gate("half_open", 3), 2) == 1


def test_after_it_closes_the_pace_doubles_up_to_the_whole() -> None:
    ramp = Ramp(20)
    ramp.allow("db", Gate("half_open", 3), 0)

    paces = [ramp.allow("db", Gate("closed"), 0) for _ in range(4)]

    assert paces == [6, 12, 20, 20]
    ramp.allow("db", Gate("open"), 0)
    assert ramp.allow("db", Gate("closed"), 5) == 0
    assert ramp.allow("other", Gate("closed"), 25) == 0


def test_parking_classifies_fingerprints_and_packs() -> None:
    parked = park(
        item="item/p/1",
        item_version=3,
        pipeline="p",
        stage="s",
        error="ValueError",
        message="row 7",
        at_us=5,
        attempts=3,
        category="validation",
        payload=msgspec.Raw(msgspec.json.encode("x" * 9000)),
    )

    assert parked.strategy == "manual"
    assert parked.fingerprint == fingerprint("ValueError", "s", "row 9")
    assert parked.packed
