"""Processes that begin with everything loaded: for tests that kill many, one by one.

A process that imports the whole project is busy with that for most of its life if it
is killed a second later, and so is the test. Here one process imports it once and
forks; what it forks is killed like any other.

    python -m tests.forks MODULE FUNCTION [MODULE...]
"""

import json
import os
import select
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).parent.parent


class Forked:
    """A process, used as a `subprocess.Popen` is, which another has forked."""

    def __init__(self, answers: IO[bytes], stdout: Path) -> None:
        self._answers = answers
        self.returncode: int | None = None
        self.stdout = stdout.open("rb")
        """What it writes; there is an end to it once it is dead."""
        self.pid = int(answers.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for its end, which is here if the test has failed."""
        if kind is not None:
            self.send_signal(signal.SIGKILL)
        self.wait()
        self.stdout.close()

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
            self.returncode = int(self._answers.readline())
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, which nobody notices who has ended."""
        os.kill(self.pid, number)  # it is not reaped before the next one starts


class Forks:
    """Starts processes that call a function with the words they are given.

    One after the other: the next one once the one before it was waited for. What
    they write goes through pipes in a folder. Other modules may be loaded before.
    """

    def __init__(self, folder: Path, module: str, function: str, *loaded: str) -> None:
        self._folder = folder
        self._number = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", module, function, *loaded],
            cwd=ROOT,
            bufsize=0,  # nothing is read ahead: what is there can be waited for
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what forks."""
        self._process.kill()
        self._process.communicate()

    def start(self, *words: object, stderr: Path | None = None) -> Forked:
        """Start a process; its errors go into a file, or where those of the test go."""
        self._number += 1
        stdout = self._folder / f"stdout-{self._number}"
        os.mkfifo(stdout)
        order = [[*map(str, words)], str(stdout), stderr and str(stderr)]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return Forked(self._process.stdout, stdout)


def fork_for_each_order() -> list[str] | None:
    """Return None at the end, and in each forked process the words it was given."""
    child = 0
    while line := sys.stdin.buffer.readline():
        if child:
            os.waitpid(child, 0)
        words, stdout, stderr = json.loads(line)
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(os.open(stdout, os.O_WRONLY), 1)
            if stderr is not None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                os.dup2(os.open(stderr, flags, 0o600), 2)
            return [*words]
        os.write(1, b"%d\n" % child)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        exited = ended.si_code == os.CLD_EXITED
        os.write(1, b"%d\n" % (ended.si_status if exited else -ended.si_status))
    return None


def main(module: str, function: str, *loaded: str) -> None:
    """Import once, then fork and call the function as often as one is told to."""
    for each in loaded:
        import_module(each)
    call = getattr(import_module(module), function)
    words = fork_for_each_order()
    if words is not None:
        call(words)


if __name__ == "__main__":
    main(*sys.argv[1:])
