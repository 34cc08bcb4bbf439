"""How the document pipeline is run: its limits, times, names and places."""

from pathlib import Path
from typing import Final

import msgspec

from ...actors.breakers import BreakerConfig
from ...actors.dead_letters import QueuePolicy
from ...actors.retries import RetryPolicy
from ...actors.transactions import Limits
from ...events.log.schema import FILE_NAME
from .chaos import BURST_MEAN_S, RATE_MAX
from .intake import SIZE_BYTES_MAX

PIPELINE: Final = "documents"
QUEUE: Final = "documents"
"""The dead letter queue."""
BREAKER: Final = "graph-db"

CHAOS_TIMEOUT_S: Final = 1.0
"""With chaos the graph hangs on purpose, and nobody wants to wait long for that."""


class DocumentSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """The settings of the document pipeline."""

    concurrency: int = 16
    """Attempts of all stages that run at a time."""
    stage_concurrency: int = 4
    """Attempts of one stage that run at a time."""
    open_max: int = 400
    """Items in all states; those that wait for the graph do not hold up others."""
    size_bytes_max: int = SIZE_BYTES_MAX
    graph_timeout_s: float = 5.0
    """One call of the graph takes no longer."""
    cooldown_s: float = 1.0
    """How long the breaker leaves the graph alone, at first."""
    redrive_s: float = 2.0
    """How often dead letters that may succeed now are tried again."""
    chaos_rate: float = 0.0
    """The share of time in which the graph fails on purpose."""
    chaos_seed: int | None = None
    chaos_burst_s: float = BURST_MEAN_S
    """How long it fails at a time, on average."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, with a `ValueError` that names it."""
        for name in ("concurrency", "stage_concurrency", "open_max", "size_bytes_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("graph_timeout_s", "cooldown_s", "redrive_s", "chaos_burst_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0")
        if not 0 <= self.chaos_rate <= RATE_MAX:
            raise ValueError(f"chaos_rate must be a share from 0 to {RATE_MAX}")

    @property
    def call_s(self) -> float:
        """How long one call of the graph may take, chaos considered."""
        if self.chaos_rate:
            return min(self.graph_timeout_s, CHAOS_TIMEOUT_S)
        return self.graph_timeout_s

    def breaker(self) -> BreakerConfig:
        """Return when the graph counts as down: half of its last 20 calls failed."""
        return BreakerConfig(
            window="count",
            window_calls=20,
            min_calls=6,
            cooldown_s=self.cooldown_s,
            cooldown_max_s=10 * self.cooldown_s,
            cooldown_jitter=0.1,
            half_open_permitted=2,
            half_open_successes=2,
        )

    def retry(self) -> RetryPolicy:
        """Return how stages are tried again: soon, since all of it is on this machine."""
        return RetryPolicy(attempts_max=3, base_s=0.2, cap_s=5.0)

    def undo_retry(self) -> RetryPolicy:
        """Return how compensations are tried again: for long, since they must succeed.

        The graph that failed is the one in which it is undone, so it is asked about
        as often as the breaker would ask.
        """
        cap_s = 2 * self.cooldown_s
        return RetryPolicy(
            attempts_max=30,
            base_s=min(0.1, cap_s),
            cap_s=cap_s,
            by_class={"unknown": "exponential"},
        )

    def limits(self) -> Limits:
        """Return the limits of transactions."""
        return Limits(retry=self.undo_retry())

    def queue(self) -> QueuePolicy:
        """Return how dead letters are redriven: when the graph may be well again."""
        retry = RetryPolicy(base_s=self.redrive_s, cap_s=8 * self.redrive_s)
        return QueuePolicy(
            retry_s=self.redrive_s, pace_s=min(1.0, self.redrive_s), retry=retry
        )


class Layout:
    """Where the pipeline keeps what it makes, all in one folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.log = data / FILE_NAME
        self.artifacts = data / "artifacts"
        self.graph = data / "graph.lbug"
        self.index = data / "index.sqlite"
        self.catalogue = data / "catalogue.sqlite"
        self.manifests = data / "manifests"
