"""The actor that does nothing but have children."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from .actor import Actor
from .faults import described
from .handlers import handles
from .messages import Ask
from .refs import Ref

if TYPE_CHECKING:
    from .spec import AnySpec

_log = structlog.get_logger(__name__)


class StartChild(Ask[Ref]):
    """Have a supervisor start one more child; answered once that is up.

    The answer raises what the start raised; the supervisor and its other children
    go on.
    """

    spec: "AnySpec"


class Supervisor(Actor):
    """Starts its children in order; all else is done by its `Supervision`."""

    def __init__(self, specs: "Sequence[AnySpec]") -> None:
        self._specs = specs

    async def starting(self) -> None:
        """Start the children, each ready before the next."""
        for spec in self._specs:
            await self.ctx.spawn(spec)

    @handles
    async def start_child(self, message: StartChild) -> None:
        """Start one more child; one that cannot start is the asker's concern alone."""
        answer = self.ctx.later()
        try:
            answer.set(await self.ctx.spawn(message.spec))
        except Exception as error:  # noqa: BLE001 - this is supervision
            path, child = self.ctx.self.path, message.spec.id
            _log.warning(
                "child.not_started", actor=path, child=child, **described(error)
            )
            answer.fail(error)
