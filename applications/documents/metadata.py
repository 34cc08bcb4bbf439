"""The METADATA of a distribution: what it says of itself, by its own fields."""

import email.message
import email.policy
import email.utils
from collections.abc import Iterator

import msgspec

from .corpus import normalise
from .encodings import decode
from .errors import InvalidDocumentError


class Contact(msgspec.Struct, frozen=True, gc=False):
    """Somebody whom a distribution names."""

    name: str
    email: str
    role: str
    """`author` or `maintainer`."""


class Metadata(msgspec.Struct, frozen=True, gc=False):
    """The fields of a METADATA file that the graph is made of."""

    name: str
    """As it is written; `normalise` gives the one spelling."""
    version: str
    summary: str = ""
    licence_expression: str = ""
    licence_field: str = ""
    classifiers: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    contacts: tuple[Contact, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """Label and address."""
    description: str = ""


def read_metadata(data: bytes, name: str) -> Metadata:
    """Return the fields of a METADATA file.

    Raises `InvalidDocumentError` when it names no distribution or version.
    """
    text, _ = decode(data, name)
    parsed = email.message_from_string(text, policy=email.policy.compat32)
    distribution, version = _field(parsed, "Name"), _field(parsed, "Version")
    if not normalise(distribution).strip("-") or not version:
        raise InvalidDocumentError(
            name, "is no METADATA: it has no Name or no Version, install it again"
        )
    body = parsed.get_payload()
    description = body.strip() if isinstance(body, str) else ""
    return Metadata(
        name=distribution,
        version=version,
        summary=_field(parsed, "Summary"),
        licence_expression=_field(parsed, "License-Expression"),
        licence_field=_field(parsed, "License"),
        classifiers=_fields(parsed, "Classifier"),
        requirements=_fields(parsed, "Requires-Dist"),
        contacts=tuple(_contacts(parsed)),
        links=tuple(_links(parsed)),
        description=description or _field(parsed, "Description"),
    )


def read_description(data: bytes, name: str) -> str:
    """Return the readable part of a METADATA file: name, summary and description."""
    found = read_metadata(data, name)
    parts = (f"{found.name} {found.version}", found.summary, found.description)
    return "\n\n".join(part for part in parts if part)


def _field(parsed: email.message.Message, field: str) -> str:
    return next(iter(_fields(parsed, field)), "")


def _fields(parsed: email.message.Message, field: str) -> tuple[str, ...]:
    values = (str(value).strip() for value in parsed.get_all(field, []))
    return tuple(value for value in values if value and value != "UNKNOWN")


def _contacts(parsed: email.message.Message) -> Iterator[Contact]:
    for role in ("author", "maintainer"):
        written = ",".join(_fields(parsed, role.title())).replace(" and ", ",")
        names = [name.strip() for name in written.split(",") if name.strip()]
        fields = _fields(parsed, f"{role.title()}-email")
        addresses = email.utils.getaddresses(list(fields))
        if len(names) == len(addresses) == 1 and not addresses[0][0]:
            addresses = [(names.pop(), addresses[0][1])]  # one person in two fields
        for name in names:
            yield Contact(name, "", role)
        for name, address in addresses:
            if name or "@" in address:
                yield Contact(name.strip(), address.lower(), role)


def _links(parsed: email.message.Message) -> Iterator[tuple[str, str]]:
    for label in ("Home-page", "Download-URL"):
        for url in _fields(parsed, label):
            yield label.lower(), url
    for value in _fields(parsed, "Project-URL"):
        label, comma, url = value.partition(",")
        if comma and url.strip():
            yield label.strip().lower(), url.strip()
