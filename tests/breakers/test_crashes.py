"""A breaker whose process dies at any moment comes back as it was, within a stated bound.

The long form is `DRAMATURG_BREAKER_CRASHES=5000 pytest -s tests/breakers/test_crashes.py`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import msgspec
import pytest

from dramaturg.actors.breakers import BreakerState, evolve
from dramaturg.events import Event
from dramaturg.events.log.reader import LogReader

from .crashing import REGISTRY, History, Worst
from .kill_me import Twin

HISTORIES = int(os.environ.get("DRAMATURG_BREAKER_CRASHES", "40"))
KILLS = max(3, HISTORIES // 50)
KILL_ME = Path(__file__).parent / "kill_me.py"


@pytest.mark.asyncio
@pytest.mark.timeout(120 + HISTORIES)
async def test_a_crash_anywhere_loses_what_was_on_its_way_and_no_more() -> None:
    worst = Worst()
    for seed in range(HISTORIES):
        try:
            await History(seed, worst).live()
        except AssertionError as error:
            error.add_note(f"in the history of seed {seed}")
            raise

    print(worst)  # noqa: T201 - the worst loss seen is what the long form is run for
    assert worst.crashes == 3 * HISTORIES
    assert worst.calls > 400
    assert worst.failures > 0


def killed(file: Path, seed: int, after_s: float) -> Twin:
    """Let a process live for a while, kill it, and return the last it has told."""
    with subprocess.Popen(
        [sys.executable, str(KILL_ME), str(file), str(seed)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        assert lines[0], "it did not start"
        until_s = time.monotonic() + after_s
        while time.monotonic() < until_s:
            lines.append(process.stdout.readline())
        process.kill()
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    whole = [line for line in lines if line.endswith(b"\n")]
    return msgspec.json.decode(whole[-1], type=Twin)


@pytest.mark.kill
@pytest.mark.timeout(120 + 5 * KILLS)
def test_a_killed_process_comes_back_with_all_but_what_was_on_its_way(
    tmp_path: Path,
) -> None:
    file, random, worst = tmp_path / "log", Random(HISTORIES), Worst()
    for seed in range(KILLS):
        twin = killed(file, seed, random.uniform(0.0, 0.4))

        state = BreakerState("db")
        with LogReader(file, REGISTRY) as reader:
            for recorded in reader.read(limit=1_000_000):
                assert isinstance(recorded.event, Event)
                state = evolve(state, recorded.event)

        lost = twin.calls - state.totals.calls
        worst.took(calls=twin.unrolled, calls_on_their_way=twin.calls_waiting)
        assert twin.unrolled < 500
        assert lost <= twin.unrolled + twin.calls_waiting
        assert state.generation >= twin.generation - twin.moves_waiting
        assert state.config_version >= twin.acknowledged
    print(worst)  # noqa: T201 - the worst loss seen is what the long form is run for
