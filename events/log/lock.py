"""Lets one process at a time write a log."""

import contextlib
import fcntl
import os
from pathlib import Path

from .beside import beside
from .errors import LogLockedError


class WriterLock:
    """A lock on a file beside the log, which the owner's pid stands in.

    The operating system releases it when its process ends in whatever way, so a
    crash leaves nothing behind; the file itself stays, because deleting it would let
    two writers lock two files of one name. Readers need no lock.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock at once, or raise `LogLockedError` with the owner's pid.

        It is kept if it is held already, and taken anew if somebody deleted its file:
        a second writer would make another.
        """
        path = beside(self._log, ".lock")
        if self._fd is not None and not is_another(path, os.fstat(self._fd)):
            return
        self.release()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 20, 0).strip()
            os.close(fd)
            raise LogLockedError(
                str(self._log),
                int(pid) if pid.isdigit() else None,
            ) from None
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        with contextlib.suppress(OSError):  # on a full disk: it only informs
            os.pwrite(fd, b"%-19d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let the next writer in."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def is_another(path: Path, known: os.stat_result) -> bool:
    """Tell whether a path is not this file's any more, as far as that can be seen."""
    try:
        return not os.path.samestat(path.stat(), known)
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
