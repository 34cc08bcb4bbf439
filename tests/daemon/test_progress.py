"""What a person sees at a terminal while the work goes on."""

from io import StringIO

from rich.console import Console

from dramaturg.daemon.progress import Screen, shown
from dramaturg.events import Event
from dramaturg.events.log import Header, Recorded
from dramaturg.events.pipelines import (
    Failure,
    ItemDone,
    ItemSubmitted,
    RetryScheduled,
    StageDone,
)
from dramaturg.projections import OVERVIEW, Overview

HISTORY: list[tuple[str, Event]] = [
    ("item/documents/a", ItemSubmitted("documents", starts="read")),
    ("item/documents/b", ItemSubmitted("documents", starts="read")),
    ("item/documents/a", StageDone("read", took_us=2500)),
    ("item/documents/a", ItemDone()),
    ("item/documents/b", RetryScheduled("read", 1, 9, 9, Failure("OSError"))),
]


def overview() -> Overview:
    state = OVERVIEW.initial()
    for position, (stream, event) in enumerate(HISTORY, 1):
        header = Header(v=1, at=0, committed=0)
        state = OVERVIEW.apply(state, Recorded(position, stream, 1, event, header))
    return state


def drawn(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_screen_shows_stages_items_and_the_position() -> None:
    console = Console(file=StringIO(), width=120)

    console.print(Screen("documents", overview()))

    (row,) = (line for line in drawn(console).splitlines() if "read" in line)
    assert row.split() == ["read", "1", "1", "1", "2.5"]  # retrying, done, retries
    assert "items 2  in flight 1  done 1" in drawn(console)
    assert "position 5" in drawn(console)


def test_a_terminal_is_drawn_on_while_the_block_runs() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=120)
    screen = Screen("documents", Overview())

    with shown(screen, console):
        screen.overview = overview()

    assert "in flight 1" in drawn(console)


def test_nothing_is_drawn_where_nobody_looks() -> None:
    console = Console(file=StringIO(), force_terminal=False)

    with shown(Screen("documents", Overview()), console):
        pass

    assert not drawn(console)
