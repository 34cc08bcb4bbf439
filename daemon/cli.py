"""The `dramaturg` command: finds the right function, and says in one line what failed."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

from cyclopts import App, CycloptsError, Parameter

from ..events import DramaturgError
from .errors import ReaderGoneError, UsageError
from .logs import log_to_stderr
from .output import Output

DONE, FAILED, WRONG_USE = 0, 1, 2
STDIN, STDOUT, STDERR = 0, 1, 2
LEFT_S = 0.2
"""So long a thread may take to see that it is not needed any more."""

app = App(
    name="dramaturg",
    help="Keep unreliable work reliable, and see how it went.",
    version_flags=("--version",),
    default_parameter=Parameter(negative=""),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
COMMANDS = (
    ("ingest", "ingest:ingest", "Bring documents into the graph and the index."),
    ("ask-graph", "graph:ask_graph", "Ask the graph what the documents say."),
    ("search", "graph:search", "Find documents by their words."),
    ("log", "log:log", "See what the log holds, and whether it is sound."),
    ("actors", "actors:actors", "See the tree of actors, and what failed."),
    ("breaker", "breaker:breaker", "See why a breaker is open, and what if."),
    ("state", "state:state", "Show anything's state as of any position."),
)
"""Named and not imported: a command loads what it needs, and nothing else."""

for _name, _where, _help in COMMANDS:
    app.command(f"{__package__}.commands.{_where}", name=_name, help=_help)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the work failed, 2 wrong use.

    A polite end (SIGTERM) is taken like Ctrl-C: what runs is stopped in order.
    """
    _have_standard_streams()
    signal.signal(signal.SIGTERM, _as_interrupt)
    status = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except OSError:
        status = status or FAILED
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if any(map(_goes_on, threading.enumerate())):
        os._exit(status)
    sys.exit(status)


def _goes_on(thread: threading.Thread) -> bool:
    """Tell whether a thread keeps the process from its end: a parser that was left."""
    if thread.daemon or thread is threading.current_thread():
        return False
    thread.join(LEFT_S)
    return thread.is_alive()


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status."""
    log_to_stderr()
    try:
        result = app(list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        text = str(error)
        text = text if text.endswith("...") else text.removesuffix(".")
        status, said = WRONG_USE, f"{text}; see `dramaturg --help`"
    except UsageError as error:
        status, said = WRONG_USE, str(error)
    except (ReaderGoneError, BrokenPipeError):
        return FAILED  # whoever wants no more knows why
    except DramaturgError as error:
        status, said = FAILED, str(error)
    except KeyboardInterrupt:
        status, said = FAILED, "interrupted; run the same command again to go on"
    except OSError as error:
        status, said = FAILED, _refused(error)
    else:
        return result if isinstance(result, int) else DONE
    Output(as_json=False).error(said)
    return status


def _refused(error: OSError) -> str:
    """Say what the system refused, of which file, and where to look."""
    names = [error.filename2, error.filename]
    where = next((f"{os.fsdecode(name)}: " for name in names if name), "")
    return (
        f"{where}{error.strerror or error}; check the path, its permissions and the "
        "space on its disk"
    )


def _have_standard_streams() -> None:
    """Make standard streams fit to be written to, however the process was started.

    Where one is closed, it goes nowhere: else the next file that is opened, such as
    the log, would be what is printed to. And what the terminal has no character for
    is shown by its number.
    """
    while (spare := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(spare)
    sys.stdin = sys.stdin or os.fdopen(STDIN, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(STDOUT, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(STDERR, "w", encoding="utf-8", closefd=False)
    stdout: Any = sys.stdout
    stdout.reconfigure(errors="backslashreplace")


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt  # as a shell's background job ignores Ctrl-C
    signal.raise_signal(signal.SIGINT)  # for which the event loop has an orderly way
