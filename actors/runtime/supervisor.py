"""The actor that does nothing but have children."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .actor import Actor
from .handlers import handles
from .messages import Ask
from .refs import Ref

if TYPE_CHECKING:
    from .spec import AnySpec


class StartChild(Ask[Ref]):
    """Have a supervisor start one more child; answered once that is up."""

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
    async def start_child(self, message: StartChild) -> Ref:
        """Start one more child."""
        return await self.ctx.spawn(message.spec)
