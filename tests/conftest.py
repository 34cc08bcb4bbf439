"""What every test stands on: nothing blocks the event loop, nothing is timed."""

import os
import sys
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Tests start about a hundred processes. Where no bytecode may be written, as in many
# containers, each of them would compile the whole project anew: half of its time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(autouse=True)
def nothing_blocks_the_event_loop() -> Iterator[None]:
    with blockbuster_ctx("dramaturg") as guard:
        # The tracer of coverage waits for those of other threads, wherever it is.
        lock = guard.functions["threading.Lock.acquire"]
        lock.can_block_in("coverage/collector.py", "lock_data")
        yield
