"""The files that lie beside a log and belong to it."""

import os
from pathlib import Path


def beside(log: Path, suffix: str) -> Path:
    """Return the file that is called as a log is, and `suffix`.

    It lies beside the log itself, where SQLite has its own, and not beside a symbolic
    link by which the log is named: there would be two of it. Blocking.
    """
    return Path(os.path.realpath(log) + suffix)
