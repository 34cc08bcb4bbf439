"""Where the process's log lines go; the library itself configures no logging.

(What the actors did is in the event log; these lines are about the process.)
"""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import FileIO, TextIOBase
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import Processor

_STAMPED: tuple[Processor, ...] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso"),
    structlog.processors.format_exc_info,
)
_RENDERED = structlog.processors.JSONRenderer()


def log_to_stderr() -> None:
    """Show warnings of the library on standard error, and nobody else's."""
    logging.getLogger().addHandler(logging.NullHandler())
    _configure(logging.WARNING, sys.stderr)


class _Lines(TextIOBase):
    """A text file that forgets what a full or failing disk does not take.

    The disk's trouble is told where it matters: the event log reports it itself.
    """

    def __init__(self, raw: FileIO) -> None:
        self._raw = raw

    def write(self, text: str) -> int:
        """Write at once, or not at all."""
        with suppress(OSError):
            self._raw.write(text.encode())
        return len(text)


@contextmanager
def logging_to(path: Path) -> Generator[None]:
    """Append the library's lines, and the warnings of others, to `path` as JSON."""
    with path.open("ab", buffering=0) as raw:
        file = _Lines(raw)
        others = logging.StreamHandler(file)
        others.setLevel(logging.WARNING)
        others.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    _RENDERED,
                ],
                foreign_pre_chain=_STAMPED,
            ),
        )
        logging.getLogger().addHandler(others)
        _configure(logging.INFO, file)
        try:
            yield
        finally:
            log_to_stderr()
            logging.getLogger().removeHandler(others)


def _configure(level: int, file: Any) -> None:
    structlog.configure(
        processors=[*_STAMPED, _RENDERED],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=file),
        cache_logger_on_first_use=False,
    )
