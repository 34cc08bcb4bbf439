"""The `dramaturg` command: finds the right function, and says in one line what failed."""

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from ..events import DramaturgError
from .errors import UsageError
from .logs import log_to_stderr
from .output import Output

DONE, FAILED, WRONG_USE = 0, 1, 2

app = App(
    name="dramaturg",
    help="Keep unreliable work reliable, and see how it went.",
    version_flags=("--version",),
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
    """Run the command line and exit: 0 done, 1 the work failed, 2 wrong use."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status."""
    output = Output(as_json=False)
    log_to_stderr()
    try:
        result = app(list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        output.error(f"{error}; see `dramaturg --help`")
        return WRONG_USE
    except UsageError as error:
        output.error(str(error))
        return WRONG_USE
    except DramaturgError as error:
        output.error(str(error))
        return FAILED
    except KeyboardInterrupt:
        output.error("interrupted; run the same command again to go on")
        return FAILED
    return result if isinstance(result, int) else DONE
