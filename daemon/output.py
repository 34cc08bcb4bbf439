"""How results are shown: a table for a person, JSON lines for a program."""

import re
import select
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from .errors import OutputLostError, ReaderGoneError

PIPE_COLUMNS = 160
"""How wide tables are where nobody's screen sets a width."""
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""What would move the cursor, break the line or be no character, such as in a name."""


class _Console(Console):
    """A console that leaves the end of the process to whoever runs the command."""

    def on_broken_pipe(self) -> None:
        """Say that nobody reads: called by rich."""
        raise ReaderGoneError


class Output:
    """Writes results to standard output and remarks to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        wide = None if sys.stdout.isatty() else PIPE_COLUMNS
        self.console = _Console(highlight=False, width=wide)
        self.remarks = _Console(stderr=True, highlight=False)

    @property
    def is_watched(self) -> bool:
        """Whether a person looks on."""
        return not self.as_json and self.remarks.is_terminal

    def rows(
        self,
        columns: Sequence[str],
        rows: Iterable[Mapping[str, Any]],
        *,
        title: str | None = None,
    ) -> None:
        """Show rows under the named columns; a value that is absent stays empty."""
        if self.as_json:
            for row in rows:
                self.value(row)
            return
        if title is not None:
            self.line(title)
        table = Table(box=box.SIMPLE_HEAD)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_text(row.get(column)) for column in columns))
        with writing():
            self.console.print(table)

    def value(self, value: object) -> None:
        """Show one value as a JSON document: on one line for a program.

        Raises `OutputLostError`.
        """
        document = msgspec.json.encode(value)
        if not self.as_json:
            document = msgspec.json.format(document, indent=2)
        with writing():  # JSON is UTF-8, whatever the locale says of text
            sys.stdout.flush()
            sys.stdout.buffer.write(document + b"\n")
            sys.stdout.buffer.flush()

    def line(self, text: str) -> None:
        """Say something to a person; a program is not told."""
        if not self.as_json:
            lines = "\n".join(map(_printable, text.split("\n")))
            with writing():
                self.console.print(lines, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, what: str) -> Generator[Callable[[int, int], None]]:
        """Show a bar to a person at a screen; give the function that moves it."""
        bar = Progress(console=self.remarks, transient=True)
        if not self.is_watched:
            yield lambda _at, _end: None
            return
        with bar:
            task = bar.add_task(what, total=None)
            yield lambda at, end: bar.update(task, completed=at, total=end)

    def wait(self, seconds: float) -> None:
        """Let time pass. Raises `ReaderGoneError` when nobody reads any more."""
        gone = select.poll()
        with suppress(OSError, ValueError):  # no descriptor, as in a notebook
            gone.register(sys.stdout.fileno(), 0)  # a pipe tells of its other end
        if gone.poll(seconds * 1000):
            raise ReaderGoneError

    def error(self, text: str) -> None:
        """Say in one line what went wrong."""
        self.remarks.print(
            f"dramaturg: {_printable(text)}", markup=False, soft_wrap=True
        )


def moment(at_us: int) -> str:
    """Return a wall time as text: to the millisecond, in local time."""
    local = datetime.fromtimestamp(at_us / 1e6, tz=UTC).astimezone()
    return local.isoformat(" ", "milliseconds")[:23]


@contextmanager
def writing(name: str = "standard output") -> Generator[None]:
    """Turn what goes wrong while results are written into `OutputLostError`."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGoneError from error
    except OSError as error:
        raise OutputLostError(
            f"{name} cannot be written: {error.strerror}; check what it goes to",
        ) from error


def _printable(text: str) -> str:
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return _printable(str(value))
    return msgspec.json.encode(value).decode()
