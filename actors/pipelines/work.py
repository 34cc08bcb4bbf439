"""What a stage function is given, and what it may call."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from ...events.pipelines import NOTHING

T = TypeVar("T")


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one stage at one item.

    A stage function takes it and returns its result, which is anything msgspec
    can write as JSON. What it does outside should be done under `effect_key`:
    an attempt may be repeated after a crash, always with the same key.
    """

    pipeline: str
    item: str
    """The item's id."""
    stream: str
    """The item's stream in the log."""
    stage: str
    attempt: int
    """Counts from 1; attempts that a crash swallowed are counted."""
    key: str = ""
    """The key the item was submitted with."""
    owner: str = ""
    raw_payload: msgspec.Raw = NOTHING
    """The payload as JSON."""
    raw_results: Mapping[str, msgspec.Raw] = {}
    """The results of earlier stages as JSON, by stage."""
    report: Callable[[int], None] | None = None

    @property
    def effect_key(self) -> str:
        """The same for every attempt of this stage at this item."""
        return f"{self.stream}#{self.stage}"

    @property
    def payload(self) -> Any:
        """The payload as plain data."""
        return msgspec.json.decode(self.raw_payload)

    @property
    def results(self) -> dict[str, Any]:
        """The results of earlier stages as plain data, by stage."""
        decode = msgspec.json.decode
        return {stage: decode(raw) for stage, raw in self.raw_results.items()}

    def payload_as(self, kind: type[T]) -> T:
        """Return the payload as a `kind`. Raises `msgspec.ValidationError`."""
        return msgspec.json.decode(self.raw_payload, type=kind)

    def result_as(self, stage: str, kind: type[T]) -> T:
        """Return an earlier stage's result as a `kind`; `KeyError` if it has none."""
        return msgspec.json.decode(self.raw_results[stage], type=kind)

    def progress(self, percent: int) -> None:
        """Tell how far the item has come; written at most once a second."""
        if self.report is not None:
            self.report(percent)
