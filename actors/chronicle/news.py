"""What the runtime publishes about actors, as events."""

from collections.abc import Callable
from functools import singledispatch
from typing import TYPE_CHECKING, Final

from ...events import actors as events
from ..runtime import ActorFailed, ActorRestarted, ActorStopped

if TYPE_CHECKING:
    from ..runtime import ActorSystem

REASON_MAX: Final = 200
"""Characters of an exception's text that are kept."""

Notice = ActorFailed | ActorRestarted | ActorStopped
News = events.ActorFailed | events.ActorRestarted | events.ActorStopped


@singledispatch
def news_of(notice: Notice, at_us: int) -> News | None:
    """Return the event for a notice; None: a census tells of it early enough."""
    raise NotImplementedError(type(notice), at_us)


@news_of.register
def _(notice: ActorFailed, at_us: int) -> News:
    message = "" if notice.message is None else type(notice.message).__name__
    error, reason = _said(notice.error)
    return events.ActorFailed(at_us, notice.path, error, reason, message)


@news_of.register
def _(notice: ActorRestarted, at_us: int) -> News:
    return events.ActorRestarted(at_us, notice.path, notice.restarts)


@news_of.register
def _(notice: ActorStopped, at_us: int) -> News | None:
    if notice.error is None:
        return None
    error, reason = _said(notice.error)
    return events.ActorStopped(at_us, notice.path, error, reason)


def _said(error: BaseException) -> tuple[str, str]:
    return type(error).__name__, str(error)[:REASON_MAX]


def listen(
    system: "ActorSystem",
    hear: Callable[[News], None],
) -> Callable[[], None]:
    """Call `hear` with all news of `system`; return what ends that."""

    def heard(notice: Notice) -> None:
        news = news_of(notice, system.clock.now_us())
        if news is not None:
            hear(news)

    subscribe = system.events.subscribe
    off = (
        subscribe(ActorFailed, heard),
        subscribe(ActorRestarted, heard),
        subscribe(ActorStopped, heard),
    )

    def end() -> None:
        for unsubscribe in off:
            unsubscribe()

    return end
