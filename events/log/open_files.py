"""Whether a log's files are still those that its writer has open."""

import time
from pathlib import Path

from .beside import beside
from .errors import LogLockedError, LogUnavailableError
from .lock import WriterLock, is_another

LOOK_EVERY_S = 1.0
"""So often it is looked at the names, while something is written."""


class OpenFiles:
    """A log's file, its WAL and its shared memory, as they were when this was made.

    A file that was moved, deleted or replaced is still written to by those who have it
    open, and what is acknowledged meanwhile is in no log: a second's worth at most. A
    lock whose file was deleted keeps nobody out, and is taken anew. Blocking.
    """

    def __init__(self, log: Path, lock: WriterLock) -> None:
        self._lock = lock
        paths = [log, *(beside(log, suffix) for suffix in ("-wal", "-shm"))]
        self._known = {path: path.stat() for path in paths if path.exists()}
        self._looked_s = time.monotonic()

    def look(self) -> None:
        """See to it now and then that the names are still these files'.

        What cannot be looked at, as by its folder's permissions, is taken to be there.
        Raises `LogUnavailableError` when they are not.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now_s
        for path, known in self._known.items():
            if is_another(path, known):
                raise LogUnavailableError(
                    f"{path} was moved, deleted or replaced while it was written: put "
                    "the file back that was there, then it goes on by itself",
                )
        try:
            self._lock.acquire()
        except (LogLockedError, OSError) as error:
            raise LogUnavailableError(f"the log's lock was deleted: {error}") from error
