"""Look for settings that would have served better, by replaying what was recorded."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from ...actors.breakers import BreakerConfig
from ...actors.settings import SettingsError
from .backtest import Assumption, BacktestResult, backtest
from .recorded import Recording

SWEEPS_MAX = 4
"""So many times every setting is varied in turn, at the most."""
RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
FACTORS = (0.25, 0.5, 2.0, 4.0)
COUNTS = (2, 3, 5, 8, 10, 15, 20, 30, 50, 100)
LIMIT_FRACTIONS = 1000
"""Durations are tried in thousandths."""


class Suggestion(msgspec.Struct):
    """The best settings found, beside those that were given.

    Best is what makes `failures_passed + weight * rejected_wrongly` least, and of
    equals what was found first, so that nothing is changed without a gain.
    """

    given: BacktestResult
    best: BacktestResult
    weight: float
    """How many failures let through are as bad as one good call refused."""
    tried: int = 0


def suggest(
    recording: Recording,
    config: BreakerConfig,
    *,
    weight: float = 1.0,
    assume: Assumption = "nearest",
    progress: Callable[[int, int], None] = lambda _at, _end: None,
) -> Suggestion:
    """Vary one setting after the other for as long as that helps.

    It finds the best neighbour of the best, not the best of all, and it knows this
    recording only. Raises `BacktestError` as `backtest` does.
    """
    given = backtest(recording, config, assume=assume)
    suggestion = Suggestion(given, given, weight, tried=1)
    seen = {config}
    for sweep in range(SWEEPS_MAX):
        before = suggestion.best
        names = [*_alternatives(before.config)]
        for number, name in enumerate(names):
            progress(sweep * len(names) + number, SWEEPS_MAX * len(names))
            for candidate in _varied(suggestion.best.config, name):
                if candidate not in seen:
                    seen.add(candidate)
                    result = backtest(recording, candidate, assume=assume)
                    suggestion.tried += 1
                    if cost(result, weight) < cost(suggestion.best, weight):
                        suggestion.best = result
        if suggestion.best is before:
            break
    return suggestion


def cost(result: BacktestResult, weight: float) -> float:
    """Return what is to be least."""
    return result.failures_passed + weight * result.rejected_wrongly


def _alternatives(config: BreakerConfig) -> Mapping[str, tuple[Any, ...]]:
    """Return the settings worth varying, each with the values to try."""
    values: dict[str, tuple[Any, ...]] = {}
    if config.failures_max is not None:
        values["failures_max"] = COUNTS
    if config.window != "consecutive":
        if config.failure_rate is not None:
            values["failure_rate"] = RATES
        if config.slow_rate is not None:
            values["slow_rate"] = RATES
        values["min_calls"] = COUNTS
    if config.window == "time":
        values["window_s"] = tuple(_scaled(config.window_s))
    if config.window == "count":
        values["window_calls"] = tuple(round(n) for n in _scaled(config.window_calls))
    values["cooldown_s"] = tuple(_scaled(config.cooldown_s))
    values["half_open_successes"] = (1, 2, 3, 5)
    return values


def _scaled(value: float) -> Iterator[float]:
    for factor in FACTORS:
        yield round(value * factor * LIMIT_FRACTIONS) / LIMIT_FRACTIONS


def _varied(config: BreakerConfig, name: str) -> Iterator[BreakerConfig]:
    for value in _alternatives(config)[name]:
        try:
            yield msgspec.structs.replace(config, **{name: value})
        except SettingsError:
            continue  # not together with the others
