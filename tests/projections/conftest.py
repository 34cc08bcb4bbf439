"""A log that is a list, for projections to read."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from dramaturg.events import Event, UnknownEvent
from dramaturg.events.log import Header, Reader, Recorded, Snapshot, StreamHead

Played = tuple[str, Event | UnknownEvent]


class ListReader:
    """A `Reader` of events of which each is committed ten microseconds later."""

    def __init__(
        self,
        events: Sequence[Played],
        snapshots: Sequence[Snapshot] = (),
    ) -> None:
        self.events: list[Recorded] = []
        self.snapshots = snapshots
        versions: Counter[str] = Counter()
        for stream, event in events:
            versions[stream] += 1
            self.events.append(
                Recorded(
                    position=len(self.events) + 1,
                    stream=stream,
                    version=versions[stream],
                    event=event,
                    header=Header(v=1, at=0, committed=(len(self.events) + 1) * 10),
                ),
            )

    @property
    def position(self) -> int:
        return len(self.events)

    def read(
        self,
        after: int = 0,
        until: int | None = None,
        *,
        limit: int = 1000,
    ) -> list[Recorded]:
        return self.events[after:until][:limit]

    def read_stream(
        self,
        stream: str,
        *,
        after: int = 0,
        until: int | None = None,
        at: int | None = None,
    ) -> list[Recorded]:
        own = [event for event in self.events[:at] if event.stream == stream]
        return own[after:until]

    def head(self, stream: str) -> StreamHead | None:
        return next((h for h in self.streams() if h.stream == stream), None)

    def streams(self, prefix: str = "") -> list[StreamHead]:
        last = {r.stream: r for r in self.events if r.stream.startswith(prefix)}
        return [
            StreamHead(
                stream,
                stream.partition("/")[0],
                last[stream].version,
                last[stream].position,
                open=not getattr(last[stream].event, "closes", False),
            )
            for stream in sorted(last)
        ]

    def open_streams(self, prefix: str = "") -> list[StreamHead]:
        return [head for head in self.streams(prefix) if head.open]

    def snapshot(
        self,
        stream: str,
        fold_version: int,
        *,
        at: int | None = None,
    ) -> Snapshot | None:
        fits = [
            snapshot
            for snapshot in self.snapshots
            if (snapshot.stream, snapshot.fold_version) == (stream, fold_version)
            and (at is None or snapshot.position <= at)
        ]
        return max(fits, key=lambda snapshot: snapshot.version, default=None)

    def position_at(self, time_us: int) -> int:
        return min(len(self.events), max(0, time_us // 10))


@pytest.fixture(scope="session")
def play() -> Callable[..., Reader]:
    """Make a reader of streams and events in their order."""
    return ListReader
