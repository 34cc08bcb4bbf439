"""What one seed stands for: sizes, limits, odds. Small, and different each time."""

from random import Random
from typing import Any

import msgspec

from dramaturg.testing import Odds

ACTIONS = (
    "submit",
    "transact",
    "wait",
    "crash",
    "stop",
    "kill",
    "pause",
    "cancel",
    "redrive",
    "review",
    "roll_back",
    "hold_up",
    "breaker",
)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """All that is drawn before anything runs."""

    seed: int
    lives: int
    steps: int
    """Actions in each life."""
    weights: tuple[int, ...]
    """Of each of `ACTIONS`."""
    items_max: int
    transactions_max: int
    # the pipeline
    concurrency: int
    in_flight_max: int
    running_max: int
    attempts_max: int
    after_crash: str
    asks_for_room: bool
    entries_max: int
    ttl_s: float
    # what goes wrong
    odds: Odds
    answers_lost: float
    """How likely a queue does not hear what an owner answers, or asks twice."""
    slow_reads_s: float
    fails: float
    """How likely a stage or step fails."""
    hangs: float
    failures_max: int = 2
    """How many failures open the breaker."""
    cooldown_s: float = 3.0
    same_boot: bool
    lag_s: float


def scenario(seed: int) -> Scenario:
    """Draw a scenario. Not everything goes wrong in each of them."""
    chance = Random(seed)

    def maybe(most: float, likely: float = 0.5) -> float:
        return chance.random() * most if chance.random() < likely else 0.0

    odds = Odds(
        rejected=maybe(0.03, 0.3),
        connection_lost=maybe(0.05, 0.3),
        disk_full=maybe(0.03, 0.3),
        torn=maybe(0.05, 0.3),
        answer_lost=maybe(0.05, 0.3),
        crash=maybe(0.06),
        slow=maybe(1.0, 0.7),
        slow_s_max=chance.choice((0.01, 0.2, 2.0)),
        away_s_max=chance.choice((0.5, 5.0)),
    )
    usual = {"submit": 8, "transact": 4, "wait": 3}
    weights = tuple(
        usual.get(action, 0) or (chance.randrange(1, 4) if chance.random() < 0.4 else 0)
        for action in ACTIONS
    )
    forgetful = seed % 4 == 3  # not drawn: what else a seed leads to stays as it was
    rejects = chance.random() < 0.3
    drawn = Scenario(
        seed=seed,
        lives=chance.randint(1, 3),
        steps=chance.randint(4, 12),
        weights=weights,
        items_max=chance.randint(1, 5),
        transactions_max=chance.randint(0, 2),
        concurrency=chance.randint(1, 2),
        in_flight_max=chance.choice((2, 100)),
        running_max=chance.choice((2, 100)),
        attempts_max=chance.randint(1, 3),
        after_crash=chance.choice(("retry", "retry", "give_up")),
        asks_for_room=rejects,
        entries_max=chance.choice((1, 2, 100)) if rejects else chance.choice((1, 100)),
        ttl_s=chance.choice((20.0, 1e6, 1e6)),
        odds=odds,
        answers_lost=0.4 if forgetful else 0.0,
        slow_reads_s=maybe(0.3, 0.3),
        fails=maybe(0.5, 0.8),
        hangs=maybe(0.4, 0.5),
        same_boot=chance.random() < 0.5,
        lag_s=maybe(0.5, 0.2),
    )
    return crowded(drawn) if seed % 4 == 1 else drawn


def crowded(drawn: Scenario) -> Scenario:
    """Have many attempts side by side, some of which end when the breaker has closed."""
    return msgspec.structs.replace(
        drawn,
        items_max=5,
        concurrency=3,
        failures_max=1,
        cooldown_s=0.5,
        in_flight_max=100,
        running_max=100,
        attempts_max=3,
        fails=max(0.4, drawn.fails),
        hangs=max(0.3, drawn.hangs),
    )


def describe(scenario: Scenario) -> dict[str, Any]:
    """Return it in plain words for a trace."""
    plain: dict[str, Any] = msgspec.to_builtins(scenario)
    plain["weights"] = {
        a: w for a, w in zip(ACTIONS, scenario.weights, strict=True) if w
    }
    return plain
