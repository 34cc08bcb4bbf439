"""Where texts mention distributions: one pass for all names, then the judgement."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, cast

import ahocorasick  # type: ignore[import-not-found] # it ships no types
import msgspec

from .corpus import normalise
from .words import WORDS

_SHORT_MAX = 3
"""Names as short as this are words, abbreviations or parts of code as often."""

_NEIGHBOURS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-@/\\")
_QUOTES = frozenset("`'\"")
_VERSION = re.compile(
    r"\s?(?:\[[\w,.-]{1,60}\])?\s?(?:===|==|~=|!=|>=|<=|<|>|@|v)?\s?"
    r"((?:\d+!)?\d+(?:\.\d+)+(?:\.?(?:a|b|rc|post|dev)\d+)?)(?![\w.]*\w)",
    re.IGNORECASE,
)
_SPECIFIER = re.compile(r"\s?(?:\[[\w,.-]{1,60}\])?\s?(?:===|==|~=|!=|>=|<=)")
_CODE_BEFORE = re.compile(
    r"(?:\bimport|\bfrom|\bpip3? install|\buv add|\bpackage|\blibrary|\bmodule"
    r"|\bdistribution|\bproject|\bdependency|\bextension|\bframework)\s*$",
    re.IGNORECASE,
)
_BEFORE_CHARACTERS = 24


class _Automaton(Protocol):
    """The part of pyahocorasick's automaton that is used; it ships no types."""

    def add_word(self, key: str, value: str, /) -> bool: ...
    def make_automaton(self) -> None: ...
    def iter(self, text: str, /) -> Iterator[tuple[int, str]]: ...


class Found(msgspec.Struct, frozen=True, gc=False):
    """One mention of a distribution in a text."""

    name: str
    start: int
    end: int
    version: str = ""
    """The version that stands right behind it."""


class Gazetteer:
    """The names of distributions, looked for in texts all at once.

    A name stands alone: `docx` is not found in `python-docx`, nor in a path or an
    address (but of the package index). A name that is a word of its own (`rich`, `click`, `requests`) counts only
    where it is plainly meant: quoted, imported, installed or with a version.
    """

    def __init__(self, names: Iterable[str]) -> None:
        make = cast("Callable[[], _Automaton]", getattr(ahocorasick, "Automaton"))  # noqa: B009 - untyped
        automaton = make()
        self._names = frozenset(normalise(name) for name in names) - {""}
        for name in sorted(self._names):
            for spelling in {name, name.replace("-", "_"), name.replace("-", ".")}:
                automaton.add_word(spelling, name)
        automaton.make_automaton()
        self._automaton = automaton

    @property
    def names(self) -> frozenset[str]:
        """The normalised names."""
        return self._names

    def find(self, text: str) -> Iterator[Found]:
        """Yield the mentions in `text`, in the order of their ends."""
        if not self._names:
            return
        lowered = text.lower()
        if len(lowered) != len(text):  # a few letters grow in lower case
            lowered = "".join(c if len(c.lower()) > 1 else c.lower() for c in text)
        for last, name in self._automaton.iter(lowered):
            found = self._judge(lowered, name, last)
            if found:
                yield found

    def _judge(self, text: str, name: str, last: int) -> Found | None:
        start, end = last + 1 - len(name), last + 1
        before, after = text[max(0, start - 1) : start], text[end : end + 1]
        indexed = text.endswith("pypi.org/project/", 0, start)
        if after in _NEIGHBOURS - {"/"} or (after == "/" and not indexed):
            return None
        if before in _NEIGHBOURS | {"."} and not indexed:
            return None
        version = _VERSION.match(text, end)
        doubtful = name in WORDS or len(name) <= _SHORT_MAX
        if doubtful and not version and not indexed and not _is_meant(text, start, end):
            return None
        return Found(name, start, end, version[1] if version else "")


def _is_meant(text: str, start: int, end: int) -> bool:
    """Tell whether a word that is also a name is used as the name."""
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    if before in _QUOTES and before == after:
        return True
    if _SPECIFIER.match(text, end):
        return True
    return bool(_CODE_BEFORE.search(text, max(0, start - _BEFORE_CHARACTERS), start))
