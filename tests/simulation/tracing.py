"""The trace of one seed: what was done, what became durable, what was run."""

from contextlib import nullcontext
from typing import Any

import structlog

from .planted import FAULTS
from .runner import quiet
from .scenario import describe, scenario
from .simulation import Simulation


def traced(seed: int, planted: str | None = None) -> tuple[list[str], Exception | None]:
    """Run a seed; return its trace and what it failed of."""
    plan = scenario(seed)
    lines = [f"{name}: {value}" for name, value in describe(plan).items()]
    quiet()
    structlog.configure(processors=[_into(lines)])
    simulation = Simulation(plan)
    simulation.trace = lines.append
    try:
        with FAULTS[planted].planted() if planted else nullcontext():
            lines.append(str(simulation.run()))
    except Exception as error:  # noqa: BLE001 - it is returned
        return lines, error
    return lines, None


def _into(lines: list[str]) -> Any:
    def drop(_: Any, __: str, event: dict[str, Any]) -> Any:
        what = event.pop("event")
        lines.append(f"      {what} {event}")
        raise structlog.DropEvent

    return drop
