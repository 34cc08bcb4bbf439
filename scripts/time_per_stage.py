"""Where the time goes: a projection script to copy.

    python scripts/time_per_stage.py [LOG] [POSITION]

folds a log, up to a position if one is given, and prints for every stage how often
it succeeded and how long its attempts ran.
"""

import sys
from pathlib import Path

import msgspec

from dramaturg import vocabulary
from dramaturg.events.log import Recorded
from dramaturg.events.log.reader import LogReader
from dramaturg.events.pipelines import StageDone
from dramaturg.projections import Projection, Runner


class Times(msgspec.Struct):
    """How long the successful attempts of each stage ran, in microseconds."""

    took_us: dict[str, list[int]] = {}


def apply(times: Times, recorded: Recorded) -> Times:
    """Note what one event says of the time that a stage took."""
    match recorded.event:
        case StageDone(stage=stage, took_us=took_us):
            times.took_us.setdefault(stage, []).append(took_us)
        case _:
            pass
    return times


TIME_PER_STAGE = Projection("time_per_stage", Times, initial=Times, apply=apply)


def main(log: str = "var/events.db", until: str = "") -> None:
    """Print a line for each stage."""
    with LogReader(Path(log), vocabulary()) as reader:
        end = int(until) if until else None
        times = Runner(TIME_PER_STAGE).catch_up(reader, end)
    for stage, took_us in times.took_us.items():
        mean_ms = sum(took_us) / len(took_us) / 1000
        print(f"{stage:12} {len(took_us):8} done {mean_ms:10.2f} ms each")


if __name__ == "__main__":
    main(*sys.argv[1:])
