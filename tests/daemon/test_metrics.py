"""Breakers as Prometheus sees them."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dramaturg.actors.breakers import BreakerConfig, BreakerOpenError, Breakers
from dramaturg.daemon.metrics import BreakerMetrics

Sample = tuple[str, str]


def scraped(breakers: Breakers) -> dict[Sample, float]:
    registry = CollectorRegistry()
    registry.register(BreakerMetrics(breakers.statistics))
    text = generate_latest(registry).decode()
    return {
        (
            sample.name.removeprefix("dramaturg_breaker_"),
            "/".join(sample.labels.values()),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.asyncio
async def test_state_rates_and_outcomes_are_scraped() -> None:
    breakers = Breakers()
    api = await breakers.open(
        "api", BreakerConfig.preset("classic", failures_max=2, cooldown_s=60.0)
    )
    await breakers.open("db")

    @api
    async def fetch(*, fails: bool) -> None:
        if fails:
            raise ConnectionError

    await fetch(fails=False)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await fetch(fails=True)
    with pytest.raises(BreakerOpenError):
        await fetch(fails=False)
    found = scraped(breakers)

    assert found["state", "api"] == 1
    assert found["state", "db"] == 0
    assert found["calls_total", "api/success"] == 1
    assert found["calls_total", "api/failure"] == 2
    assert found["calls_total", "api/rejected"] == 1
    assert found["calls_total", "api/neutral"] == 0
    assert found["trips_total", "api"] == 1
    assert 0 < found["retry_after_seconds", "api"] <= 60
    assert found["error_rate", "db"] == 0
    assert found["in_state_seconds", "api"] >= 0


def test_without_breakers_there_are_families_and_no_samples() -> None:
    assert scraped(Breakers()) == {}
