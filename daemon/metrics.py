"""Breakers as Prometheus metrics, collected when they are scraped.

Register it where the host's other metrics are::

    registry.register(BreakerMetrics(breakers.statistics))

and serve them as the host does, such as by `prometheus_client.make_asgi_app`.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ..actors.breakers import Statistics

Value = Callable[[Statistics], float]

GAUGES: dict[str, tuple[str, Value]] = {
    "state": (
        "0: calls pass, 1: they are refused, 2: probes pass",
        lambda breaker: breaker.number,
    ),
    "in_state_seconds": (
        "How long it is in this state",
        lambda breaker: breaker.in_phase_s,
    ),
    "retry_after_seconds": (
        "How long calls are still refused",
        lambda breaker: breaker.retry_after_s,
    ),
    "error_rate": (
        "Share of the calls in the window that failed",
        lambda breaker: breaker.error_rate,
    ),
    "probes_in_flight": (
        "Probes that have not reported back",
        lambda breaker: breaker.probes_in_flight,
    ),
}
OUTCOMES: dict[str, Value] = {
    "success": lambda breaker: breaker.calls - breaker.failures,
    "failure": lambda breaker: breaker.failures,
    "neutral": lambda breaker: breaker.neutral,
    "rejected": lambda breaker: breaker.rejected,
}
COUNTERS: dict[str, tuple[str, Value]] = {
    "slow_calls": (
        "Calls that took longer than slow_call_s",
        lambda breaker: breaker.slows,
    ),
    "trips": ("How often it opened", lambda breaker: breaker.trips),
    "probes": ("Probes granted", lambda breaker: breaker.probes),
    "late_results": (
        "Results that came too late to matter",
        lambda breaker: breaker.late,
    ),
}


class BreakerMetrics(Collector):
    """Collects what `Breakers.statistics` returns; counts are since each breaker began.

    Those of a breaker with a log go on where they were after a restart.
    """

    def __init__(self, statistics: Callable[[], Iterable[Statistics]]) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each metric, with a sample for each breaker."""
        breakers = [*self._statistics()]
        labels = ["breaker"]
        for name, (documentation, value) in GAUGES.items():
            full = f"dramaturg_breaker_{name}"
            gauge = GaugeMetricFamily(full, documentation, labels=labels)
            for breaker in breakers:
                gauge.add_metric([breaker.name], value(breaker))
            yield gauge
        yield self._calls(breakers)
        for name, (documentation, value) in COUNTERS.items():
            full = f"dramaturg_breaker_{name}"
            counter = CounterMetricFamily(full, documentation, labels=labels)
            for breaker in breakers:
                counter.add_metric([breaker.name], value(breaker))
            yield counter

    @staticmethod
    def _calls(breakers: Iterable[Statistics]) -> Metric:
        calls = CounterMetricFamily(
            "dramaturg_breaker_calls",
            "Calls by how they ended; rejected ones were not made",
            labels=["breaker", "outcome"],
        )
        for breaker in breakers:
            for outcome, value in OUTCOMES.items():
                calls.add_metric([breaker.name, outcome], value(breaker))
        return calls
