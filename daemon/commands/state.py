"""`dramaturg state`: what anything was as of any position of the log."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from ...projections import StreamState, Timeline, standard_folds
from ..layout import open_log, tell_withheld
from ..options import At, Data, Json, position_at
from ..output import Output

SAID_MAX = 5
"""Members of a state that fit in a row."""


def state(
    stream: Annotated[
        str | None,
        Parameter(help="Such as breaker/graph-db; else all open streams are listed."),
    ] = None,
    *,
    at: At = None,
    closed: Annotated[bool, Parameter(help="List ended streams, too.")] = False,
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Show the state of one stream, or of all open ones, as of any position."""
    output = Output(as_json=as_json)
    with open_log(data) as reader:
        timeline = Timeline(reader, standard_folds())
        position = position_at(at, timeline)
        if stream is not None:
            output.value(timeline.state(stream, at=position))
            tell_withheld(reader, data, output)
            return 0
        states = timeline.states(at=position, closed=closed)
        output.rows(
            ("stream", "version", "position", "state"),
            (_row(state, whole=as_json) for state in states.values()),
            title=f"as of position {timeline.end if position is None else position}",
        )
        tell_withheld(reader, data, output)
    return 0


def _row(state: StreamState, *, whole: bool) -> dict[str, object]:
    shown: object = state.state if whole else _summary(state.state)
    return {
        "stream": state.stream,
        "version": state.version,
        "position": state.position,
        "open": state.open,
        "state": shown,
    }


def _summary(state: object) -> str:
    """Say in a few words what a state is: where it is, and its first plain members."""
    if not isinstance(state, msgspec.Struct):
        return str(state)
    members = {"place": getattr(state, "place", ""), **msgspec.structs.asdict(state)}
    said = {
        name: value
        for name, value in members.items()
        if isinstance(value, str | int) and value not in {"", 0} and name != "stream"
    }
    return ", ".join(f"{name} {value}" for name, value in list(said.items())[:SAID_MAX])
