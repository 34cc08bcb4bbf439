"""Where failures and restarts are logged."""

from typing import Any

import structlog


def _always(level: int) -> bool:  # noqa: ARG001 - the signature of `is_enabled_for`
    return True


class Lines:
    """One logger for all actors of a system, looked up once.

    To look it up for each line, and to put together lines that nobody is going to see,
    would cost more than a restart.
    """

    __slots__ = ("enabled", "info", "warning")

    def __init__(self) -> None:
        bound: Any = structlog.get_logger("dramaturg.actors").bind()
        # asked of the class: some loggers take any name for that of a method
        kind: type[object] = bound.__class__
        knows = hasattr(kind, "is_enabled_for")
        self.enabled: Any = bound.is_enabled_for if knows else _always
        """Tells whether lines of a level of `logging` come out anywhere."""
        self.info: Any = bound.info
        self.warning: Any = bound.warning
