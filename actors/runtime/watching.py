"""Who is told when an actor has stopped for good."""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from .errors import LinkedError
from .extras import Ended
from .messages import Terminated
from .parting import fell

if TYPE_CHECKING:
    from .cell import Cell


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

        if not fated.stopped:
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
    watching = watcher.extras.watching
    if watching is None:
        watching = watcher.own_extras().watching = {}
    watching[key] = other

    def heard(error: BaseException | None) -> None:
        if watcher.extras.watching is not None:
            watcher.extras.watching.pop(key, None)
        ended(error)

    other.own_extras().own_watchers()[key] = heard


def forget(watcher: "Cell", key: Hashable) -> None:
    """Take `on_end` back; harmless if there is none."""
    watching = watcher.extras.watching
    other = None if watching is None else watching.pop(key, None)
    if other is not None and other.extras.watchers is not None:
        other.extras.watchers.pop(key, None)


def forget_all(watcher: "Cell", *, for_good: bool) -> None:
    """Take all watches and links back: they belonged to an instance that has ended.

    Before an end for good the other ends of links stay, to be told of it.
    """
    if watcher.extras.watching is None:
        return
    for key, other in tuple(watcher.extras.watching.items()):
        forget(watcher, key)
        if not for_good and isinstance(key, tuple) and key[0] == "link":
            forget(other, ("link", other, watcher))
    watcher.extras.watching = None
