"""What the runtime tells about itself, to whoever in the process wants to hear it."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import structlog

T = TypeVar("T", bound=msgspec.Struct)

_log = structlog.get_logger(__name__)


class EventStream:
    """Hands each published notice to those who subscribed to its class or a base.

    Receivers are plain callables run in the publisher's turn, a reference's `tell`
    among them; they must not block. One that raises is reported and passed over:
    its fault must not reach the actor that happened to publish.
    """

    __slots__ = ("_receivers",)

    def __init__(self) -> None:
        self._receivers: dict[type, dict[object, Callable[[Any], object]]] = {}

    def subscribe(
        self,
        kind: type[T],
        receiver: Callable[[T], object],
    ) -> Callable[[], None]:
        """Call `receiver` with every notice of class `kind`; return what ends that."""
        token = object()
        self._receivers.setdefault(kind, {})[token] = receiver

        def unsubscribe() -> None:
            receivers = self._receivers.get(kind, {})
            receivers.pop(token, None)
            if not receivers:
                self._receivers.pop(kind, None)

        return unsubscribe

    @property
    def heard(self) -> bool:
        """Whether anybody subscribed to anything: else no notice need be made."""
        return bool(self._receivers)

    def publish(self, notice: msgspec.Struct) -> None:
        """Hand `notice` to its subscribers, in the order in which they came."""
        if not self._receivers:
            return
        for kind in type(notice).__mro__:
            for receiver in tuple(self._receivers.get(kind, {}).values()):
                try:
                    receiver(notice)
                except Exception:  # noqa: BLE001 - the edge to foreign code; it is logged
                    _log.exception("subscriber.failed", notice=type(notice).__name__)
