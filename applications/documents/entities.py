"""What a document says: distributions, licences, people, addresses, and mentions."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

import msgspec

from .corpus import normalise, required_name
from .gazetteer import Gazetteer
from .licences import in_text, of_metadata
from .metadata import Metadata

EntityKind = Literal["distribution", "version", "licence", "person", "address"]
"""The kinds of things that documents mention, which are the graph's nodes."""

T = TypeVar("T", "Dependency", "Contributor", "Link")

MENTIONS_MAX = 2_000
"""Of more different mentions in one document, the most frequent ones are kept."""


class Mention(msgspec.Struct, frozen=True, gc=False, order=True):
    """A thing that a document mentions, and how often."""

    kind: EntityKind
    name: str
    count: int


class Dependency(msgspec.Struct, frozen=True, gc=False, order=True):
    """A distribution that the described one requires."""

    name: str
    requirement: str
    """As it is written, with versions and markers."""
    extra: str = ""
    """The extra that asks for it; empty: always required."""


class Contributor(msgspec.Struct, frozen=True, gc=False, order=True):
    """Somebody who made or looks after the described distribution."""

    name: str
    role: str
    email: str = ""


class Link(msgspec.Struct, frozen=True, gc=False, order=True):
    """A web address that the described distribution gives for itself."""

    url: str
    label: str


class Described(msgspec.Struct, frozen=True, gc=False):
    """What a METADATA file says of its distribution."""

    name: str
    version: str
    summary: str = ""
    licences: tuple[str, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    contributors: tuple[Contributor, ...] = ()
    links: tuple[Link, ...] = ()


class Entities(msgspec.Struct, frozen=True, gc=False):
    """Everything found in one document, in an order of its own: the same every time."""

    mentions: tuple[Mention, ...]
    described: Described | None = None
    belongs_to: str = ""
    """The distribution that the document came with."""


_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}\b"
)
_WEB = re.compile(r"\bhttps?://[^\s<>\"'`\\^{}|\[\]]{4,500}", re.IGNORECASE)
_TRAILING = ".,;:!?*_)]}'\""
_COPYRIGHT = re.compile(
    r"^\W*copyright\b[ \t]*(?:\(c\)|©)?[ \t]*(?:©|\(c\))?[ \t]*"
    r"(?:\d{4}(?:[ \t]*[-\N{EN DASH},][ \t]*(?:\d{2,4}|present|now))*,?[ \t]+)"
    r"(?:by[ \t]+)?(?P<name>[^\n]{3,120})$",
    re.IGNORECASE | re.MULTILINE,
)
_NOT_A_NAME = re.compile(
    r"all rights reserved.*|<[^>]*>|\([^)]*\)|\S+@\S+|https?://\S+", re.IGNORECASE
)
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_NAME_CHARACTERS_MAX = 60


def find(
    text: str,
    gazetteer: Gazetteer,
    *,
    metadata: Metadata | None = None,
    belongs_to: str = "",
) -> Entities:
    """Return what a document says. It takes a while for long texts: use a thread."""
    counts: Counter[tuple[EntityKind, str]] = Counter()
    for found in gazetteer.find(text):
        if found.name != belongs_to:
            counts["distribution", found.name] += 1
            if found.version:
                counts["version", f"{found.name} {found.version}"] += 1
    for spdx, count in in_text(text).items():
        counts["licence", spdx] += count
    for name in _holders(text):
        counts["person", name] += 1
    for address in _addresses(text):
        counts["address", address] += 1
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    mentions = (Mention(*key, count) for key, count in ordered[:MENTIONS_MAX])
    described = _described(metadata) if metadata else None
    return Entities(tuple(sorted(mentions)), described, belongs_to)


def _addresses(text: str) -> Iterator[str]:
    for match in _EMAIL.finditer(text):
        yield f"mailto:{match[0].lower()}"
    for match in _WEB.finditer(text):
        yield _bare(match[0])


def _bare(url: str) -> str:
    """Take off what follows an address in prose, but not a bracket that it opened."""
    while url and url[-1] in _TRAILING:
        if url[-1] == ")" and url.count("(") >= url.count(")"):
            break
        url = url[:-1]
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}"


def _holders(text: str) -> Iterator[str]:
    """Yield who holds the copyright by lines such as `Copyright (c) 2020 Jane Doe`."""
    for match in _COPYRIGHT.finditer(text):
        name = " ".join(_NOT_A_NAME.sub(" ", match["name"]).split()).strip(" ,.;*-")
        if 2 < len(name) <= _NAME_CHARACTERS_MAX and name[0].isalpha():
            yield name


def _described(metadata: Metadata) -> Described:
    licences = of_metadata(
        metadata.licence_expression, metadata.licence_field, metadata.classifiers
    )
    return Described(
        name=normalise(metadata.name),
        version=metadata.version,
        summary=metadata.summary,
        licences=tuple(sorted(set(licences))),
        dependencies=_unique(_dependencies(metadata.requirements)),
        contributors=_unique(
            Contributor(each.name or each.email, each.role, each.email)
            for each in metadata.contacts
        ),
        links=_unique(Link(_bare(url), label) for label, url in metadata.links),
    )


def _dependencies(requirements: Iterable[str]) -> Iterator[Dependency]:
    for requirement in requirements:
        name = required_name(requirement)
        if name:
            extra = _EXTRA.search(requirement)
            yield Dependency(
                name, " ".join(requirement.split()), extra[1] if extra else ""
            )


def _unique(found: Iterable[T]) -> tuple[T, ...]:
    return tuple(sorted(set(found)))
