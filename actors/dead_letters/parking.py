"""How a failure becomes the first event of a dead letter."""

import msgspec

from ...events.dead_letters import Parked, Strategy
from ...events.pipelines import NOTHING
from .fingerprint import fingerprint
from .payload import pack

STRATEGY_BY_CLASS: dict[str, Strategy] = {
    "timeout": "linear",
    "validation": "manual",
    "rejected": "manual",
    "permanent": "manual",
}
"""Which background retries help against which class of failures; else exponential."""


def park(  # noqa: PLR0913 - an entry has that many parts
    *,
    item: str,
    item_version: int,
    pipeline: str,
    stage: str,
    error: str,
    message: str,
    at_us: int,
    attempts: int,
    category: str = "unknown",
    strategy: Strategy | None = None,
    priority: int = 0,
    redrives: int = 0,
    redrives_max: int = 5,
    target: str = "",
    key: str = "",
    payload: msgspec.Raw = NOTHING,
    artifact: str = "",
    expires_us: int | None = None,
) -> Parked:
    """Return the event that parks `item`: fingerprinted, classified and packed.

    `error` is the class of the error and `category` its class of failures as the
    retries tell it; without `strategy` that decides how it is retried.
    """
    kept, packed = pack(payload)
    return Parked(
        item=item,
        item_version=item_version,
        pipeline=pipeline,
        stage=stage,
        error=error,
        message=message,
        fingerprint=fingerprint(error, stage, message),
        attempts=attempts,
        at_us=at_us,
        category=category,
        priority=priority,
        strategy=strategy or STRATEGY_BY_CLASS.get(category, "exponential"),
        redrives=redrives,
        redrives_max=redrives_max,
        target=target,
        key=key,
        payload=kept,
        packed=packed,
        artifact=artifact,
        expires_us=expires_us,
    )
