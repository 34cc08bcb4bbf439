"""When a log's writing thread is about to wait for its disk."""

import queue

PATIENCE_S = 0.02
"""A log that commits nothing for so long is in nobody's way."""


class Lull:
    """Lets one thread work while the writer's waits for its disk.

    The interpreter runs one thread at a time, so what a worker thread does for a
    millisecond the loop and the writer wait for. In a commit the writer needs no
    interpreter, and those whose appends are in it wait for the disk anyway.
    """

    def __init__(self) -> None:
        self._wanted = False
        self._begun: queue.SimpleQueue[None] = queue.SimpleQueue()

    def begin(self) -> None:
        """Say that a commit begins: called by the writer, and cheap."""
        if self._wanted:
            self._wanted = False
            self._begun.put(None)

    def wait(self) -> bool:
        """Wait for the next commit to begin; False if none does for `PATIENCE_S`."""
        self._wanted = True
        try:
            self._begun.get(timeout=PATIENCE_S)
        except queue.Empty:
            return False
        return True
