"""Every event of dramaturg's own, in one registry."""

from . import actors, breaker, dead_letters, pipelines, transactions
from .log import seal
from .log.archive import event as archive
from .log.encryption import event as erasures
from .registry import Registry


def vocabulary() -> Registry:
    """Return a registry of dramaturg's own events, to be merged with the user's.

    >>> "breaker.opened" in vocabulary()
    True
    """
    modules = (
        actors,
        archive,
        breaker,
        dead_letters,
        erasures,
        pipelines,
        seal,
        transactions,
    )
    return Registry(event for module in modules for event in module.EVENTS)
