"""Names for actors, wherever in the tree they stand."""

from typing import TYPE_CHECKING

from . import watching
from .cell import Cell
from .errors import NameTakenError

if TYPE_CHECKING:
    from .refs import Ref
    from .system import ActorSystem


class NameRegistry:
    """Who is called what in one system; an actor that stops loses its names."""

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system
        self._names: dict[str, Ref] = {}

    def register(self, name: str, ref: "Ref") -> None:
        """Call `ref` by `name`. Raises `NameTakenError` if another is called so."""
        before = self._names.get(name)
        if before is not None and before != ref:
            raise NameTakenError(name, before.path)
        self._names[name] = ref
        if isinstance(ref, Cell):
            watching.on_end(
                self._system.root,
                ref,
                ("name", name),
                lambda _: self._forget(name, ref),
            )

    def unregister(self, name: str) -> None:
        """Take a name back; harmless if nobody has it."""
        if self._names.pop(name, None) is not None:
            watching.forget(self._system.root, ("name", name))

    def whereis(self, name: str) -> "Ref | None":
        """Return who is called `name`."""
        return self._names.get(name)

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted(self._names))

    def _forget(self, name: str, ref: "Ref") -> None:
        if self._names.get(name) == ref:
            del self._names[name]
