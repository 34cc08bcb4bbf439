"""The closed table from tag to class that turns stored bytes into events."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from .errors import DramaturgError
from .event import Event, UnknownEvent

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the data of one schema version into the data of the next."""


class TagTakenError(DramaturgError):
    """Two classes claim one tag, or one class has none."""


class DataError(DramaturgError):
    """The stored data of a known event does not fit its class."""


class Registry:
    """Which class a tag stands for, and how old data becomes new.

    Tags are looked up here and never imported by name from a file, so a log
    cannot make a process load code. `upcasters` maps `(tag, version)` to a
    function from the data of `version` to that of `version + 1`.

    Raises `TagTakenError` when two classes share a tag.
    """

    def __init__(
        self,
        events: Iterable[type[Event]],
        upcasters: Mapping[tuple[str, int], Upcaster] | None = None,
    ) -> None:
        self._upcasters = dict(upcasters or {})
        self._classes: dict[str, type[Event]] = {}
        self._decoders: dict[tuple[str, int], Callable[[bytes], Event]] = {}
        for event in events:
            self._add(event)

    def _add(self, event: type[Event]) -> None:
        known = self._classes.setdefault(event.tag, event)
        if not event.tag or known is not event:
            raise TagTakenError(
                f"{event.__qualname__} cannot have the tag {event.tag!r}, which "
                f"{known.__qualname__ if event.tag else 'nothing'} has: "
                "give the class a tag of its own",
            )
        decoder = msgspec.json.Decoder(event)
        self._decoders[event.tag, event.version] = decoder.decode

    def __contains__(self, tag: str) -> bool:
        """Tell whether events with this tag can be decoded."""
        return tag in self._classes

    @property
    def classes(self) -> Mapping[str, type[Event]]:
        """The registered classes by tag."""
        return self._classes

    @property
    def decoders(self) -> Mapping[tuple[str, int], Callable[[bytes], Event]]:
        """What decodes the data of today's events, by tag and version.

        `decode` knows the older and the unknown ones as well.
        """
        return self._decoders

    @property
    def upcasters(self) -> Mapping[tuple[str, int], Upcaster]:
        """The functions that bring old data up to date, by tag and version."""
        return self._upcasters

    def merged(self, *others: "Registry") -> "Registry":
        """Return a registry with the events and upcasters of all of them."""
        tables = (self, *others)
        events = {cls: None for table in tables for cls in table.classes.values()}
        upcasters = {k: up for table in tables for k, up in table.upcasters.items()}
        if len(events) == len(self._classes) and upcasters == self._upcasters:
            return self  # a decoder for each event takes its time
        return Registry(events, upcasters)

    def decode(self, tag: str, version: int, data: bytes) -> Event | UnknownEvent:
        """Return the event that `data`, a JSON document, is.

        Unknown tags and versions newer than the class give an `UnknownEvent`.
        Raises `DataError` when the data does not fit the class.
        """
        try:
            decode = self._decoders.get((tag, version))
            if decode is not None:
                return decode(data)
            return self._decode_old(tag, version, data)
        except msgspec.MsgspecError as error:
            raise DataError(
                f"the data of an event {tag!r} version {version} does not fit "
                f"its class: {error}; add an upcaster or restore the class",
            ) from error

    def _decode_old(self, tag: str, version: int, data: bytes) -> Event | UnknownEvent:
        event = self._classes.get(tag)
        if event is None or version > event.version:
            return UnknownEvent(tag, version, data)
        fields: dict[str, Any] = msgspec.json.decode(data)
        for step in range(version, event.version):
            upcast = self._upcasters.get((tag, step))
            if upcast is None:
                raise DataError(
                    f"an event {tag!r} has schema version {step}, its class has "
                    f"{event.version}: register an upcaster for ({tag!r}, {step})",
                )
            fields = upcast(fields)
        return msgspec.convert(fields, event)
