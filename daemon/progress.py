"""What a person sees while a pipeline runs: the overview as a live screen."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..projections import Overview

REFRESHES_PER_S = 5
PHASES = {"closed": "green", "half_open": "yellow"}
"""The colours of a breaker's phases; every other one is red."""


class Screen:
    """The live display of one pipeline; `overview` is what it shows next."""

    def __init__(self, pipeline: str, since: Overview) -> None:
        self.overview = since
        self._pipeline = pipeline

    def __rich__(self) -> RenderableType:
        """Draw the overview: called by rich, a few times a second."""
        lines = Text()
        for part, style in _told(self.overview, self._pipeline):
            lines.append(part, style)
        return Group(_stages(self.overview, self._pipeline), lines)


@contextmanager
def shown(screen: Screen, console: Console) -> Generator[Screen]:
    """Show a screen while the block runs, if there is a terminal to show it on."""
    if not console.is_terminal:
        yield screen
        return
    with Live(screen, console=console, refresh_per_second=REFRESHES_PER_S):
        yield screen


def _stages(overview: Overview, pipeline: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("stage")
    names = ("waiting", "running", "retrying", "undoing", "done", "retries", "put off")
    for name in (*names, "failed", "ms each"):
        table.add_column(name, justify="right")
    view = overview.items.pipelines.get(pipeline)
    for name, stage in (view.stages if view else {}).items():
        counts = (
            stage.waiting,
            stage.running,
            stage.retrying,
            stage.undoing,
            stage.done,
            stage.retries,
            stage.put_off,
            stage.failed,
        )
        each_ms = f"{stage.took_us / stage.done / 1000:.1f}" if stage.done else ""
        table.add_row(name, *(str(count or "") for count in counts), each_ms)
    return table


def _told(overview: Overview, pipeline: str) -> Iterator[tuple[str, str]]:
    """Yield what is said below the table, with its styles."""
    view = overview.items.pipelines.get(pipeline)
    if view is not None:
        done = view.at("done")
        yield f"  items {view.submitted}  in flight {view.in_flight}  done {done}", ""
    for name, breaker in overview.breakers.breakers.items():
        phase = breaker.phase
        yield f"   breaker {name} ", ""
        yield phase.replace("_", "-"), PHASES.get(phase, "bold red")
        yield f" ({breaker.totals.trips} trips)", ""
    parked = sum(queue.parked for queue in overview.dead_letters.queues.values())
    yield f"   dead letters {parked}", "bold red" if parked else ""
    yield f"   position {overview.position}\n", "dim"
