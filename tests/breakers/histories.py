"""Random settings and histories of a breaker."""

from typing import Any

from hypothesis import strategies as st

from dramaturg.actors.breakers import BreakerConfig

Command = tuple[Any, ...]


@st.composite
def configs(draw: st.DrawFn) -> BreakerConfig:
    window = draw(st.sampled_from(["consecutive", "count", "time"]))
    timed = draw(st.booleans()) and window != "consecutive"
    size = draw(st.integers(1, 12))
    cooldown_s = draw(st.sampled_from([0.5, 2.0]))
    count = draw(st.none() | st.integers(1, 4))
    settings: dict[str, Any] = {
        "window": window,
        "window_calls": size,
        "window_s": draw(st.sampled_from([1.0, 4.0])),
        "buckets": draw(st.sampled_from([1, 4])),
        "failures_max": count or 2 if window == "consecutive" else count,
        "failure_rate": draw(st.sampled_from([0.1, 0.3, 0.5, 1.0])),
        "slow_call_s": 0.5 if timed else None,
        "slow_rate": draw(st.sampled_from([None, 0.5])) if timed else None,
        "min_calls": draw(st.integers(1, size)),
        "compare": draw(st.sampled_from([">=", ">"])),
        "evaluate": draw(st.sampled_from(["every", "failures"])),
        "cooldown_s": cooldown_s,
        "cooldown_factor": draw(st.sampled_from([1.0, 2.0])),
        "cooldown_max_s": cooldown_s * 3,
        "half_open_permitted": draw(st.integers(1, 3)),
        "half_open_successes": draw(st.integers(1, 3)),
        "half_open_rule": draw(st.sampled_from(["any", "rate"])),
        "half_open_ramp": draw(st.booleans()),
        "probe_lease_s": draw(st.sampled_from([1.0, 100.0])),
    }
    return BreakerConfig(**settings)


OUTCOMES = st.sampled_from(["success", "failure", "success", "failure", "neutral"])
SPANS = st.sampled_from([0.0, 0.1, 0.25, 0.6, 1.0, 3.0])
CALLS = st.tuples(st.just("call"), OUTCOMES, st.sampled_from([0.0, 0.0, 0.1, 0.7]))
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    CALLS,
    CALLS,
    st.tuples(st.just("begin")),
    st.tuples(st.just("end"), st.integers(0, 5), OUTCOMES),
    st.tuples(st.just("pass"), SPANS),
    st.tuples(st.just("pass"), SPANS),
)
ACTIONS: st.SearchStrategy[Command] = st.one_of(
    st.tuples(st.just("reset")),
    st.tuples(st.just("trip")),
    st.tuples(
        st.sampled_from(["forced_open", "disabled", "metrics_only"]),
        st.none() | st.sampled_from([0.5, 2.0]),
    ),
)


def histories(
    commands: st.SearchStrategy[Command] = COMMANDS,
    others: st.SearchStrategy[Command] = ACTIONS,
    size: int = 60,
) -> st.SearchStrategy[list[Command]]:
    """Mostly calls and time; an action of a person now and then."""
    either = st.integers(0, 14).flatmap(lambda n: commands if n else others)
    return st.lists(either, max_size=size)
