"""`dramaturg breaker backtest`: recorded calls replayed through other settings."""

import math
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ...actors.breakers import BreakerConfig
from ...actors.settings import SettingsError
from ...events import Event
from ...projections import backtest as replays
from ...projections.backtest import Assumption, BacktestResult, Recording, Suggestion
from ...projections.breaker_history import BreakerHistory
from ..errors import UsageError
from ..layout import open_log
from ..options import Data, Json
from ..output import Output, moment
from .breaker import Name, known_stream

TRIPS_TOLD = 5
ASSUMED: dict[Assumption, str] = {
    "nearest": "the call nearest in time did",
    "failed": "failures",
    "good": "good calls",
}


def backtest(  # noqa: PLR0913 - the options of a command
    name: Name,
    *,
    set_: Annotated[
        list[str],
        Parameter(name="--set", help="A setting to try, such as failure_rate=0.3."),
    ] = [],  # noqa: B006 - read only, and cyclopts shows it as the default
    suggest: Annotated[
        bool, Parameter(help="Look for settings that do better.")
    ] = False,
    weight: Annotated[
        float,
        Parameter(help="How many failures let through one good call refused is worth."),
    ] = 1.0,
    assume: Annotated[
        Assumption, Parameter(help="How calls would have ended that were refused.")
    ] = "nearest",
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Replay the recorded calls through other settings, beside what happened."""
    output = Output(as_json=as_json)
    if not (set_ or suggest):
        raise UsageError("say what to try: --set failure_rate=0.3, or --suggest")
    if not 0 < weight < math.inf:
        raise UsageError(f"--weight is {weight:g}, but must be more than 0")
    with open_log(data) as reader:
        recorded = reader.read_stream(stream := known_stream(reader, name))
    history = BreakerHistory.of(stream, recorded)
    events = [row.event for row in recorded if isinstance(row.event, Event)]
    recording = replays.recorded_calls(history.state.name, events)
    current = history.state.config
    results = {"settings in force": replays.backtest(recording, current, assume=assume)}
    wanted = _changed(current, set_)
    if set_:
        results["settings tried"] = replays.backtest(recording, wanted, assume=assume)
    found: Suggestion | None = None
    if suggest:
        with output.progress("searched") as progress:
            found = replays.suggest(
                recording, wanted, weight=weight, assume=assume, progress=progress
            )
        results["settings suggested"] = found.best
    changes = {} if found is None else _differences(found.best.config, current)
    if as_json:
        output.value(_document(recording, results, changes))
        return 0
    _compare(recording, results, output)
    if found is not None:
        _say_suggestion(changes, found, output)
    return 0


def _differences(config: BreakerConfig, other: BreakerConfig) -> dict[str, Any]:
    """Return the settings that are not those of the other, by name."""
    values = {name: getattr(config, name) for name in config.__struct_fields__}
    return {n: value for n, value in values.items() if value != getattr(other, n)}


def _document(
    recording: Recording, results: dict[str, BacktestResult], changes: dict[str, Any]
) -> dict[str, object]:
    return {
        "breaker": recording.name,
        "calls": sum(not call.refused for call in recording.calls),
        "refused": sum(call.refused for call in recording.calls),
        "neutral": recording.neutral,
        "resolution_s": recording.resolution_us / 1e6,
        "trips": recording.trips,
        "results": {name.rpartition(" ")[2]: r for name, r in results.items()},
        "suggested": changes,
    }


def _compare(
    recording: Recording, results: dict[str, BacktestResult], output: Output
) -> None:
    made = [call for call in recording.calls if not call.refused]
    failed = sum(call.ended in {"failed", "failed_slow"} for call in made)
    refused = len(recording.calls) - len(made)
    lived: dict[str, object] = {
        "": "as it happened",
        "opened": len(recording.trips),
        "good passed": len(made) - failed,
        "failures passed": failed,
        "refused": refused,
    }
    output.rows(
        (
            *("", "opened", "not closed", "good passed", "failures passed"),
            *("refused rightly", "refused wrongly", "refused", "assumed"),
        ),
        [lived, *(_compared(name, result) for name, result in results.items())],
        title=f"{recording.name}: {len(made)} calls, {refused} refused in life",
    )
    output.line(
        f"When a call ended is known to {recording.resolution_us / 1e6:.3g} s at worst. "
        "Refused: also in life, so nobody knows how they would have ended. "
        "Assumed: refused in life, let through here, and taken to have ended as "
        f"{ASSUMED[next(iter(results.values())).assume]}. What people did by hand, and "
        f"{recording.neutral} ignored or cancelled calls are left out."
    )
    for name, result in results.items():
        if result.trips:
            first = ", ".join(moment(trip.at_us) for trip in result.trips[:TRIPS_TOLD])
            more = len(result.trips) - TRIPS_TOLD
            and_more = f" and {more} more" if more > 0 else ""
            output.line(f"With the {name} it opens at {first}{and_more}.")


def _compared(name: str, result: BacktestResult) -> dict[str, object]:
    return {
        "": name,
        "opened": len(result.trips),
        "not closed": f"{result.open_s:.1f} s",
        "good passed": result.good_passed,
        "failures passed": result.failures_passed,
        "refused rightly": result.rejected_rightly,
        "refused wrongly": result.rejected_wrongly,
        "refused": result.refused_again,
        "assumed": result.assumed,
    }


def _say_suggestion(changes: dict[str, Any], found: Suggestion, output: Output) -> None:
    aim = f"failures passed + {found.weight:g} x refused wrongly"
    if changes:
        settings = " ".join(f"--set {name}={value}" for name, value in changes.items())
        output.line(f"Of {found.tried} settings tried, least of {aim}: {settings}")
    else:
        output.line(f"None of {found.tried} settings tried has less of {aim}.")


def _changed(config: BreakerConfig, set_: list[str]) -> BreakerConfig:
    """Return the settings with some changed, as text says. Raises `UsageError`."""
    changes: dict[str, object] = {}
    for text in set_:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text!r} has no value: write name=value")
        changes[name.strip()] = None if value.strip() in {"", "none"} else value.strip()
    plain = {name: getattr(config, name) for name in config.__struct_fields__}
    try:
        return BreakerConfig.from_dict({**plain, **changes})
    except SettingsError as error:
        raise UsageError(str(error)) from error
