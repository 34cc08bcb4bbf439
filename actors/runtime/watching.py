"""Who is told when an actor has stopped for good."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from .errors import LinkedError
from .messages import Terminated
from .parting import fell

if TYPE_CHECKING:
    from .cell import Cell

Ended = Callable[[BaseException | None], None]
"""Is told what an actor died of; None: it stopped in an orderly way."""


def watch(watcher: "Cell", other: "Cell") -> None:
    """Send `watcher` one `Terminated` once `other` has stopped, or now if it has.

    It goes before all that waits in the mailbox and is not counted against its bound.
    """
    path = other.path

    def tell(error: BaseException | None) -> None:
        watcher.put_news(Terminated(path, error))

    on_end(watcher, other, ("watch", watcher, other), tell)


def unwatch(watcher: "Cell", other: "Cell") -> None:
    """Take `watch` back; a `Terminated` that is on its way still comes."""
    forget(watcher, ("watch", watcher, other))


def link(one: "Cell", other: "Cell") -> None:
    """Have either fail with `LinkedError` if the other ends with an error.

    An orderly stop ends the link and nothing else. The restart of either ends it as
    well: a link, like a watch, belongs to the instance that made it.
    """
    for fated, first in ((one, other), (other, one)):

        def fall(
            error: BaseException | None,
            fated: "Cell" = fated,
            first: "Cell" = first,
        ) -> None:
            if error is not None:
                fell(fated, LinkedError(first.path, error))

        on_end(fated, first, ("link", fated, first), fall)


def unlink(one: "Cell", other: "Cell") -> None:
    """Take `link` back."""
    forget(one, ("link", one, other))
    forget(other, ("link", other, one))


def on_end(watcher: "Cell", other: "Cell", key: Hashable, ended: Ended) -> None:
    """Call `ended` once `other` has stopped, unless `watcher` goes down before.

    Once per `key`: a second watch under the same key takes the place of the first.
    """
    if other.stopped:
        ended(other.error)
        return
    if watcher.watching is None:
        watcher.watching = {}
    watcher.watching[key] = other
    if other.watchers is None:
        other.watchers = {}

    def heard(error: BaseException | None) -> None:
        if watcher.watching is not None:
            watcher.watching.pop(key, None)
        ended(error)

    other.watchers[key] = heard


def forget(watcher: "Cell", key: Hashable) -> None:
    """Take `on_end` back; harmless if there is none."""
    other = None if watcher.watching is None else watcher.watching.pop(key, None)
    if other is not None and other.watchers is not None:
        other.watchers.pop(key, None)


def forget_all(watcher: "Cell", *, for_good: bool) -> None:
    """Take all watches and links back: they belonged to an instance that has ended.

    Before an end for good the other ends of links stay, to be told of it.
    """
    for key, other in tuple((watcher.watching or {}).items()):
        forget(watcher, key)
        if not for_good and isinstance(key, tuple) and key[0] == "link":
            forget(other, ("link", other, watcher))
    watcher.watching = None
