"""What every engine of the log promises; each engine's tests inherit these."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec
import pytest

from dramaturg.events import Event
from dramaturg.events.log import (
    Appended,
    Context,
    EncodingError,
    EventLog,
    Header,
    IdempotencyKey,
    Incarnation,
    KeyTakenError,
    LogError,
    LogUnavailableError,
    Snapshot,
    StaleWriterError,
    StreamAppend,
    StreamHead,
    VersionConflictError,
)
from dramaturg.events.log.pending import SHARED_MAX

from .vocabulary import (
    Counted,
    Ended,
    Measured,
    Mixed,
    Noted,
    Part,
    Started,
    Unregistered,
)

AT = Context(at_us=1_000)


class Engine(Protocol):
    """Opens one log again and again."""

    now_us: int

    def open(
        self, *, unwritten_max: int = 1000
    ) -> AbstractAsyncContextManager[EventLog]: ...


def spelt(value: object) -> str:
    """Return what is the same in every process, so that tests can be shared out."""
    raw = bytes(value.raw) if isinstance(value, Mixed) else b""
    return re.sub(r" at 0x[0-9a-f]+", raw.decode(errors="replace"), repr(value))


def on(stream: str, expected: int, *events: Event) -> StreamAppend:
    return StreamAppend(stream, expected, events)


class Outcomes:
    """Collects what `done` is called with."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Appended | LogError]] = []

    def __call__(
        self, name: str, heard: list[object] | None = None
    ) -> Callable[[Appended | LogError], None]:
        def done(outcome: Appended | LogError) -> None:
            self.all.append((name, outcome))
            if heard is not None:
                heard.append(name)

        return done

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.all]

    def kinds(self) -> list[tuple[str, type]]:
        return [(name, type(outcome)) for name, outcome in self.all]


async def append(log: EventLog, stream: str, expected: int, *events: Event) -> Appended:
    return await log.append([on(stream, expected, *events)], AT)


class LogContract:
    """Subclasses give a fixture `engine`."""

    @pytest.mark.asyncio
    async def test_what_is_appended_is_read_back(self, engine: Engine) -> None:
        engine.now_us = 5_000
        context = Context(1_000, "ann", "bob", "c-1", ("other/1", 7))
        async with engine.open() as log:
            appended = await log.append(
                [on("a/1", 0, Started("x"), Noted({"k": [1, None]}))], context
            )
            rows = await log.read()

        assert appended == Appended(1, 5_000)
        assert [(r.position, r.stream, r.version, r.event) for r in rows] == [
            (1, "a/1", 1, Started("x")),
            (2, "a/1", 2, Noted({"k": [1, None]})),
        ]
        assert [r.header for r in rows] == [
            Header(v, 1_000, 5_000, "ann", "bob", "c-1", ("other/1", 7), "n1", 1)
            for v in (1, 3)
        ]

    @pytest.mark.asyncio
    async def test_versions_are_contiguous_from_one(self, engine: Engine) -> None:
        async with engine.open() as log:
            await append(log, "a/1", 0, Started(), Counted())
            await append(log, "b/1", 0, Started())
            await append(log, "a/1", 2, Counted())
            stream = await log.read_stream("a/1")
            position = log.position

        assert [(r.version, r.position) for r in stream] == [(1, 1), (2, 2), (3, 4)]
        assert position == 4

    @pytest.mark.asyncio
    @pytest.mark.parametrize("expected", [0, 1, 3])
    async def test_a_wrong_version_is_a_conflict(
        self, engine: Engine, expected: int
    ) -> None:
        async with engine.open() as log:
            await append(log, "a/1", 0, Started(), Counted())
            with pytest.raises(VersionConflictError) as caught:
                await append(log, "a/1", expected, Counted())
            rows = await log.read()

        assert (caught.value.stream, caught.value.expected) == ("a/1", expected)
        assert caught.value.head == 2
        assert len(rows) == 2

    @pytest.mark.asyncio
    async def test_an_append_over_several_streams_is_whole_or_nothing(
        self, engine: Engine
    ) -> None:
        async with engine.open() as log:
            await log.append([on("a/1", 0, Started()), on("b/1", 0, Started())])
            with pytest.raises(VersionConflictError):
                await log.append([on("a/1", 1, Counted()), on("b/1", 0, Counted())])
            rows = await log.read()
            head = await log.head("a/1")

        assert [r.stream for r in rows] == ["a/1", "b/1"]
        assert head is not None
        assert head.version == 1

    @pytest.mark.asyncio
    async def test_one_append_may_name_a_stream_twice(self, engine: Engine) -> None:
        async with engine.open() as log:
            await log.append([on("a/1", 0, Started()), on("a/1", 1, Counted())])
            with pytest.raises(VersionConflictError):
                await log.append([on("b/1", 0, Started()), on("b/1", 0, Counted())])
            stream = await log.read_stream("a/1")
            other = await log.head("b/1")

        assert [r.version for r in stream] == [1, 2]
        assert other is None

    @pytest.mark.asyncio
    async def test_an_append_without_events_only_compares_versions(
        self, engine: Engine
    ) -> None:
        async with engine.open() as log:
            await append(log, "a/1", 0, Started())
            appended = await log.append([on("a/1", 1), on("b/1", 0)])
            with pytest.raises(VersionConflictError):
                await log.append([on("a/1", 0), on("b/1", 0, Started())])
            position = log.position
            absent = await log.head("b/1")

        assert appended.position == position == 1
        assert absent is None

    @pytest.mark.asyncio
    async def test_done_is_called_later_and_in_order(self, engine: Engine) -> None:
        outcomes = Outcomes()
        async with engine.open() as log:
            log.submit([on("a/1", 0, Started())], AT, outcomes("first"))
            log.submit([on("a/1", 9, Counted())], AT, outcomes("conflict"))
            log.submit([on("b/1", 0, Measured(float("nan")))], AT, outcomes("nan"))
            log.submit([on("a/1", 1, Counted())], AT, outcomes("last"))
            assert outcomes.all == []
            await append(log, "c/1", 0, Started())

        assert outcomes.kinds() == [
            ("first", Appended),
            ("conflict", VersionConflictError),
            ("nan", EncodingError),
            ("last", Appended),
        ]

    @pytest.mark.asyncio
    async def test_a_conflict_fails_only_its_own_append(self, engine: Engine) -> None:
        async with engine.open() as log:
            results = await asyncio.gather(
                *(append(log, f"a/{n % 7}", 0, Started()) for n in range(10)),
                return_exceptions=True,
            )
            rows = await log.read()

        assert [type(r) for r in results] == [Appended] * 7 + [VersionConflictError] * 3
        assert [r.position for r in rows] == [*range(1, 8)]

    @pytest.mark.asyncio
    async def test_a_done_that_fails_leaves_the_others_alone(
        self, engine: Engine
    ) -> None:
        outcomes = Outcomes()
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context)
        )

        def fail(_: object) -> None:
            raise ZeroDivisionError

        async with engine.open() as log:
            log.submit([on("a/1", 0, Started())], AT, fail)
            log.submit([on("b/1", 0, Started())], AT, outcomes("other"))
            await append(log, "c/1", 0, Started())

        assert outcomes.names == ["other"]
        assert [type(c["exception"]) for c in reported] == [ZeroDivisionError]

    @pytest.mark.asyncio
    async def test_a_cancelled_waiter_does_no_harm(self, engine: Engine) -> None:
        async with engine.open() as log:
            waiter = asyncio.create_task(append(log, "a/1", 0, Started()))
            await asyncio.sleep(0)
            waiter.cancel()
            await append(log, "b/1", 0, Started())
            rows = await log.read()

        assert [r.stream for r in rows] == ["a/1", "b/1"]

    @pytest.mark.asyncio
    async def test_a_revoked_incarnation_writes_nothing(self, engine: Engine) -> None:
        outcomes = Outcomes()
        incarnation = Incarnation()
        incarnation.revoked = True
        async with engine.open() as log:
            log.submit(
                [on("a/1", 0, Started())], AT, outcomes("x"), incarnation=incarnation
            )
            await append(log, "b/1", 0, Started())
            head = await log.head("a/1")

        assert outcomes.kinds() == [("x", StaleWriterError)]
        assert head is None

    @pytest.mark.asyncio
    async def test_what_was_decided_after_a_refused_append_is_refused_too(
        self, engine: Engine
    ) -> None:
        outcomes = Outcomes()
        one = Incarnation()
        async with engine.open() as log:
            for name, append_ in [
                ("good", on("a/1", 0, Started())),
                ("conflict", on("a/1", 5, Counted())),
                ("after it", on("b/1", 0, Started())),
            ]:
                log.submit([append_], AT, outcomes(name), incarnation=one)
            log.submit(
                [on("c/1", 0, Started())],
                AT,
                outcomes("new"),
                incarnation=Incarnation(),
            )
            await append(log, "d/1", 0, Started())

        assert one.revoked
        assert outcomes.kinds() == [
            ("good", Appended),
            ("conflict", VersionConflictError),
            ("after it", StaleWriterError),
            ("new", Appended),
        ]

    @pytest.mark.asyncio
    async def test_decisions_that_share_an_append_keep_their_contexts(
        self, engine: Engine
    ) -> None:
        outcomes = Outcomes()
        ann, bob = Context(2_000, by="ann", corr="c"), Context(3_000, cause=("a/1", 1))
        async with engine.open() as log:
            shared = log.submit([on("a/1", 0, Started())], AT, outcomes("shared"))
            assert shared is not None
            joined = [
                shared.extend([StreamAppend("b/1", 0, (Started(), Counted()), ann)]),
                shared.extend([StreamAppend("a/1", 1, (Counted(),), bob)]),
            ]
            await append(log, "c/1", 0, Started())
            late = shared.extend([StreamAppend("b/1", 2, (Counted(),), ann)])
            rows = await log.read()

        assert (joined, late) == ([True, True], False)
        assert outcomes.kinds() == [("shared", Appended)]
        assert [(r.stream, r.version, r.header.at) for r in rows] == [
            ("a/1", 1, 1_000),
            ("b/1", 1, 2_000),
            ("b/1", 2, 2_000),
            ("a/1", 2, 3_000),
            ("c/1", 1, 1_000),
        ]
        assert [r.header.corr for r in rows] == ["", "c", "c", "", ""]
        assert [r.header.by for r in rows] == ["", "ann", "ann", "", ""]
        assert rows[3].header.cause == ("a/1", 1)

    @pytest.mark.asyncio
    async def test_what_may_fail_by_itself_shares_no_append(
        self, engine: Engine
    ) -> None:
        outcomes, key = Outcomes(), IdempotencyKey("s", "k", "k/1")
        nan = StreamAppend("n/1", 0, (Measured(float("nan")),), AT)
        more = StreamAppend("m/1", 0, (Started(),), AT)
        async with engine.open() as log:
            good = log.submit([on("a/1", 0, Started())], AT, outcomes("good"))
            with_key = log.submit([on("k/1", 0)], AT, outcomes("key"), keys=[key])
            bad = log.submit([nan], AT, outcomes("nan"))
            assert good is not None
            assert with_key is not None
            assert bad is not None
            joined = [
                good.extend([nan]),
                with_key.extend([more]),
                bad.extend([more]),
            ]
            await append(log, "c/1", 0, Started())
            rows = await log.read()

        assert joined == [False] * 3
        assert [r.stream for r in rows] == ["a/1", "c/1"]
        assert outcomes.kinds() == [
            ("good", Appended),
            ("key", Appended),
            ("nan", EncodingError),
        ]

    @pytest.mark.asyncio
    async def test_those_that_share_an_append_are_written_all_or_none(
        self, engine: Engine
    ) -> None:
        outcomes = Outcomes()
        half = Context(at_us=1, by="\ud800")
        async with engine.open() as log:
            for name, expected, context in (("half", 0, half), ("conflict", 7, AT)):
                shared = log.submit([on("a/1", 0, Started())], AT, outcomes(name))
                assert shared is not None
                stream = StreamAppend("b/1", expected, (Counted(),), context)
                assert shared.extend([stream])
            await append(log, "a/1", 0, Started())
            rows = await log.read()

        assert outcomes.kinds() == [
            ("half", EncodingError),
            ("conflict", VersionConflictError),
        ]
        assert [r.stream for r in rows] == ["a/1"]

    @pytest.mark.asyncio
    async def test_an_append_takes_in_so_many_decisions_which_count_as_waiting(
        self, engine: Engine
    ) -> None:
        heard: list[bool] = []
        async with engine.open(unwritten_max=SHARED_MAX) as log:
            log.on_congestion(heard.append)
            shared = log.submit([on("a/1", 0, Started())], AT, lambda _: None)
            assert shared is not None
            joined = [
                shared.extend([StreamAppend("a/1", n, (Counted(),), AT)])
                for n in range(1, SHARED_MAX + 1)
            ]
            await append(log, "b/1", 0, Started())
            rows = await log.read()

        assert joined == [True] * (SHARED_MAX - 1) + [False]
        assert heard == [True, False]
        assert len(rows) == SHARED_MAX + 1

    @pytest.mark.asyncio
    async def test_a_key_is_used_once_per_scope(self, engine: Engine) -> None:
        key = IdempotencyKey("orders", "k", "a/1")
        async with engine.open() as log:
            await log.append([on("a/1", 0, Started())], keys=[key])
            with pytest.raises(KeyTakenError) as caught:
                await log.append(
                    [on("b/1", 0, Started())],
                    keys=[IdempotencyKey("orders", "k", "b/1")],
                )
            other = IdempotencyKey("returns", "k", "b/1")
            await log.append([on("b/1", 0, Started())], keys=[other])
            streams = [await log.key_stream(s, "k") for s in ("orders", "returns", "x")]

        assert caught.value.stream == "a/1"
        assert streams == ["a/1", "b/1", None]

    @pytest.mark.asyncio
    async def test_a_key_is_free_again_when_its_append_was_refused(
        self, engine: Engine
    ) -> None:
        keys = [IdempotencyKey("s", "k", "a/1")]
        async with engine.open() as log:
            with pytest.raises(VersionConflictError):
                await log.append([on("a/1", 1, Started())], keys=keys)
            free = await log.key_stream("s", "k")
            with pytest.raises(KeyTakenError):
                await log.append([on("a/1", 0, Started())], keys=keys * 2)
            await log.append([on("a/1", 0, Started())], keys=keys)

        assert free is None

    @pytest.mark.asyncio
    async def test_a_taken_key_leaves_the_incarnation_alive(
        self, engine: Engine
    ) -> None:
        outcomes = Outcomes()
        one = Incarnation()
        key = IdempotencyKey("s", "k", "a/1")
        async with engine.open() as log:
            for name in ("a/1", "b/1"):
                log.submit(
                    [on(name, 0, Started())],
                    AT,
                    outcomes(name),
                    keys=[key],
                    incarnation=one,
                )
            log.submit([on("c/1", 0, Started())], AT, outcomes("c/1"), incarnation=one)
            await append(log, "d/1", 0, Started())

        assert not one.revoked
        assert outcomes.kinds() == [
            ("a/1", Appended),
            ("b/1", KeyTakenError),
            ("c/1", Appended),
        ]

    @pytest.mark.asyncio
    async def test_a_refusal_keeps_nothing_of_the_group_it_stood_in(
        self, engine: Engine
    ) -> None:
        outcomes = Outcomes()
        key = IdempotencyKey("s", "k", "a/1")
        async with engine.open() as log:
            await log.append([on("a/1", 0, Started())], keys=[key])
            for name, keys in (("b/1", [key]), ("a/1", [])):
                log.submit([on(name, 0, Started())], AT, outcomes(name), keys=keys)
            log.submit([on("c/1", 0, Unregistered())], AT, outcomes("c/1"))
            await append(log, "d/1", 0, Started())

        errors = [error for _, error in outcomes.all if isinstance(error, LogError)]
        assert [error.__traceback__ for error in errors] == [None] * 3

    @pytest.mark.asyncio
    async def test_a_key_holds_until_it_expires_also_if_the_clock_was_once_ahead(
        self, engine: Engine
    ) -> None:
        async with engine.open() as log:
            engine.now_us = 10**15
            await append(log, "a/1", 0, Started())
            engine.now_us = 1_000
            key = IdempotencyKey("s", "k", "a/1", expires_us=2_000)
            await log.append([on("a/1", 1, Counted())], AT, keys=[key])
            with pytest.raises(KeyTakenError):
                await log.append([on("a/1", 2, Counted())], AT, keys=[key])
            header = (await log.read_stream("a/1"))[1].header

        assert header.committed == 10**15

    @pytest.mark.asyncio
    async def test_a_key_can_be_used_again_once_it_expired(
        self, engine: Engine
    ) -> None:
        engine.now_us = 1_000
        async with engine.open() as log:
            key = IdempotencyKey("s", "k", "a/1", expires_us=2_000)
            await log.append([on("a/1", 0, Started())], keys=[key])
            engine.now_us = 1_999
            taken = await log.key_stream("s", "k")
            engine.now_us = 2_000
            free = await log.key_stream("s", "k")
            again = IdempotencyKey("s", "k", "b/1")
            await log.append([on("b/1", 0, Started())], keys=[again])
            now = await log.key_stream("s", "k")

        assert (taken, free, now) == ("a/1", None, "b/1")

    @pytest.mark.asyncio
    async def test_the_time_of_commit_never_goes_back(self, engine: Engine) -> None:
        engine.now_us = 9_000
        async with engine.open() as log:
            await append(log, "a/1", 0, Started())
            engine.now_us = 3_000
            second = await append(log, "a/1", 1, Counted())
        async with engine.open() as log:
            third = await append(log, "a/1", 2, Counted())
            engine.now_us = 9_500
            fourth = await append(log, "a/1", 3, Counted())

        times = [a.committed_us for a in (second, third, fourth)]
        assert times == [9_000, 9_000, 9_500]

    @pytest.mark.asyncio
    async def test_every_opening_has_an_epoch_of_its_own(self, engine: Engine) -> None:
        async with engine.open() as log:
            await append(log, "a/1", 0, Started())
            first = log.epoch
        async with engine.open() as log:
            position = log.position
            await append(log, "a/1", 1, Counted())
            rows = await log.read()

        assert position == 1
        assert [r.header.epoch for r in rows] == [first, first + 1]

    @pytest.mark.asyncio
    async def test_pages_are_bounded_on_both_sides(self, engine: Engine) -> None:
        async with engine.open() as log:
            await append(log, "a/1", 0, *(Counted(n) for n in range(1, 11)))
            pages = [
                await log.read(limit=3),
                await log.read(8),
                await log.read(2, 5),
                await log.read(2, 9, limit=2),
                await log.read(10),
                await log.read(0, 99, limit=0),
            ]

        assert [[r.position for r in page] for page in pages] == [
            [1, 2, 3],
            [9, 10],
            [3, 4, 5],
            [3, 4],
            [],
            [],
        ]

    @pytest.mark.asyncio
    async def test_a_stream_is_read_between_two_versions(self, engine: Engine) -> None:
        async with engine.open() as log:
            for version in range(6):
                await append(log, "a/1", version, Counted(version))
                await append(log, "b/1", version, Counted(-version))
            parts = [
                await log.read_stream("a/1"),
                await log.read_stream("a/1", after=4),
                await log.read_stream("a/1", after=1, until=3),
                await log.read_stream("a/1", until=2),
                await log.read_stream("a/1", after=6),
                await log.read_stream("nobody"),
            ]

        assert [[r.version for r in part] for part in parts] == [
            [1, 2, 3, 4, 5, 6],
            [5, 6],
            [2, 3],
            [1, 2],
            [],
            [],
        ]

    @pytest.mark.asyncio
    async def test_open_streams_are_those_whose_last_event_closes_nothing(
        self, engine: Engine
    ) -> None:
        async with engine.open() as log:
            await append(log, "a/2", 0, Started())
            await append(log, "a/1", 0, Started())
            await append(log, "a/3", 0, Started(), Ended())
            await append(log, "ab/1", 0, Started())
            await append(log, "a\U0010ffff", 0, Started())
            before = await log.open_streams("a/")
            everything = await log.open_streams()
            last = await log.open_streams("a\U0010ffff")
            await append(log, "a/1", 1, Ended())
            await append(log, "a/3", 2, Counted())
            after = await log.open_streams("a/")

        assert before == [
            StreamHead("a/1", "a", 1, 2, open=True),
            StreamHead("a/2", "a", 1, 1, open=True),
        ]
        assert [h.stream for h in everything] == ["a/1", "a/2", "ab/1", "a\U0010ffff"]
        assert [h.stream for h in last] == ["a\U0010ffff"]
        assert [h.stream for h in after] == ["a/2", "a/3"]

    @pytest.mark.asyncio
    async def test_the_head_tells_where_a_stream_stands(self, engine: Engine) -> None:
        async with engine.open() as log:
            await append(log, "plain", 0, Started())
            await append(log, "a/1", 0, Started(), Ended())
            heads = [await log.head(name) for name in ("a/1", "plain", "none")]

        assert heads == [
            StreamHead("a/1", "a", 2, 3, open=False),
            StreamHead("plain", "plain", 1, 1, open=True),
            None,
        ]

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "event",
        [
            Counted(2**53),
            Counted(-(2**53)),
            Counted(1e300),  # type: ignore[arg-type] # no integer, and too large
            Counted("text"),  # type: ignore[arg-type] # what a careless caller hands over
            Measured(float("nan")),
            Measured(float("inf")),
            Measured(float("-inf")),
            Noted(float("nan")),
            Noted([1, {"x": (2.0, float("inf"))}]),
            Noted({2**53: 1}),
            Noted(frozenset({2**60})),
            Noted(Counted(2**64)),
            Noted("\ud800"),
            Noted(object()),
            Mixed(first=2**53),
            Mixed(second=float("nan")),
            Mixed(third=-(2**53)),
            Mixed(pair=("", 2**53)),
            Mixed(table={"a": float("inf")}),
            Mixed(parts=(Part(1.0), Part(float("nan")))),
            Mixed(raw=msgspec.Raw(b'{"half":')),
            Mixed(raw=msgspec.Raw(b"1 2")),
            Mixed(raw=msgspec.Raw(b"")),
            Mixed(raw=msgspec.Raw(b'"\xff"')),
            Unregistered(),
        ],
        ids=spelt,
    )
    async def test_what_json_would_change_is_refused(
        self, engine: Engine, event: Event
    ) -> None:
        async with engine.open() as log:
            with pytest.raises(EncodingError):
                await append(log, "a/1", 0, event)
            rows = await log.read()

        assert rows == []

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "event",
        [
            Counted(2**53 - 1),
            Counted(1 - 2**53),
            Measured(1e300),
            Measured(-0.0),
            Mixed(1, 2.5, 3, ("a",), ("b", 4), ("c", True), {"d": 5.0}, {"e": "f"}),
            Mixed(parts=(Part(6.0, "g"),)),
            Noted([True, None, "é\U0001f600", 1.5, {"a": 2}]),
            Started('\0 and \\ and " and ,"data":'),
        ],
        ids=spelt,
    )
    async def test_what_json_can_say_comes_back(
        self, engine: Engine, event: Event
    ) -> None:
        async with engine.open() as log:
            await append(log, "a/1", 0, event)
            (row,) = await log.read()

        assert msgspec.json.encode(row.event) == msgspec.json.encode(event)

    @pytest.mark.asyncio
    async def test_json_inside_of_an_event_is_kept_as_it_is(
        self, engine: Engine
    ) -> None:
        raw = msgspec.Raw(b'{ "data": [1, 2],"data":3 }')
        async with engine.open() as log:
            await append(log, "a/1", 0, Mixed(raw=raw))
            (row,) = await log.read()

        assert isinstance(row.event, Mixed)
        assert bytes(row.event.raw) == bytes(raw)

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "key",
        [
            IdempotencyKey("", "k", "a/1"),
            IdempotencyKey("s", "\ud800", "a/1"),
            IdempotencyKey("s", "k", "a\0"),
            IdempotencyKey("s", "k", "a/1", expires_us=2**53),
        ],
        ids=spelt,
    )
    async def test_a_key_that_a_file_cannot_keep_is_refused(
        self, engine: Engine, key: IdempotencyKey
    ) -> None:
        async with engine.open() as log:
            with pytest.raises(EncodingError):
                await log.append([on("a/1", 0, Started())], keys=[key])
            await append(log, "b/1", 0, Started())
            rows = await log.read()

        assert [r.stream for r in rows] == ["b/1"]

    @pytest.mark.asyncio
    @pytest.mark.parametrize("name", ["", "a\0b", "a\ud800"])
    async def test_a_name_that_a_file_cannot_keep_is_refused(
        self, engine: Engine, name: str
    ) -> None:
        async with engine.open() as log:
            with pytest.raises(EncodingError):
                await append(log, name, 0, Started())
            await append(log, "é/\U0001f600", 0, Started())
            (row,) = await log.read()

        assert row.stream == "é/\U0001f600"

    @pytest.mark.asyncio
    async def test_a_context_that_json_cannot_say_is_refused(
        self, engine: Engine
    ) -> None:
        async with engine.open() as log:
            for context in (Context(1, by="\ud800"), Context(2**53)):
                with pytest.raises(EncodingError):
                    await log.append([on("a/1", 0, Started())], context)
            rows = await log.read()

        assert rows == []

    @pytest.mark.asyncio
    async def test_the_newest_fitting_snapshot_is_found(self, engine: Engine) -> None:
        async with engine.open() as log:
            await append(log, "a/1", 0, *(Counted() for _ in range(9)))
            for version in (2, 4, 6):
                log.save_snapshot(Snapshot("a/1", version, version, 1, b"%d" % version))
            log.save_snapshot(Snapshot("a/1", 4, 4, 2, b"other fold"))
            log.save_snapshot(Snapshot("a/1", 6, 6, 1, b"again"))
            await append(log, "b/1", 0, Started())
            found = [
                await log.snapshot("a/1", 1),
                await log.snapshot("a/1", 1, at_version=5),
                await log.snapshot("a/1", 1, at_version=1),
                await log.snapshot("a/1", 2),
                await log.snapshot("a/1", 3),
                await log.snapshot("b/1", 1),
            ]

        assert [s and s.state for s in found] == [
            b"again",
            b"4",
            None,
            b"other fold",
            None,
            None,
        ]

    @pytest.mark.asyncio
    async def test_only_the_last_snapshots_of_a_stream_are_kept(
        self, engine: Engine
    ) -> None:
        async with engine.open() as log:
            await append(log, "a/1", 0, *(Counted() for _ in range(9)))
            for version in range(1, 9):
                log.save_snapshot(Snapshot("a/1", version, version, 1, b"x"))
                await append(log, "b/1", version - 1, Counted())
            kept = [
                snapshot.version
                for at in range(1, 10)
                if (snapshot := await log.snapshot("a/1", 1, at_version=at))
            ]

        assert sorted(set(kept)) == [5, 6, 7, 8]

    @pytest.mark.asyncio
    async def test_listeners_hear_of_every_group_after_its_appends(
        self, engine: Engine
    ) -> None:
        heard: list[object] = []
        async with engine.open() as log:
            forget = log.on_commit(heard.append)
            log.submit([on("a/1", 0, Started())], AT, lambda _: heard.append("done"))
            await append(log, "b/1", 0, Started())
            await append(log, "b/1", 1, Counted())
            forget()
            forget()
            await append(log, "b/1", 2, Counted())

        assert heard[0] == "done"
        assert heard[-1] == 3
        assert set(heard) <= {"done", 1, 2, 3}

    @pytest.mark.asyncio
    async def test_a_congested_log_says_so_until_half_of_it_is_written(
        self, engine: Engine
    ) -> None:
        heard: list[bool] = []
        outcomes = Outcomes()
        async with engine.open(unwritten_max=4) as log:
            log.on_congestion(heard.append)
            for n in range(6):
                log.submit([on(f"a/{n}", 0, Counted())], AT, outcomes(str(n)))
            congested = log.congested
            await append(log, "b/1", 0, Started())
            relieved = log.congested

        assert (congested, relieved) == (True, False)
        assert heard == [True, False]
        assert outcomes.names == [*"012345"]

    @pytest.mark.asyncio
    async def test_a_closed_log_writes_what_was_queued_and_refuses_the_rest(
        self, engine: Engine
    ) -> None:
        outcomes = Outcomes()
        late = Incarnation()
        async with engine.open() as log:
            log.submit([on("a/1", 0, Started())], AT, outcomes("queued"))
        log.submit([on("a/1", 1, Counted())], AT, outcomes("late"), incarnation=late)
        with pytest.raises(LogUnavailableError):
            await append(log, "a/1", 1, Counted())
        async with engine.open() as log:
            rows = await log.read()

        assert outcomes.kinds() == [
            ("queued", Appended),
            ("late", LogUnavailableError),
        ]
        assert not log.available
        assert late.revoked
        assert len(rows) == 1
