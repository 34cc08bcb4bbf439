"""Licences by their SPDX identifiers, whatever a document calls them."""

import re
from collections.abc import Iterable

_TITLES: dict[str, str] = {
    "MIT": "mit; mit license; the mit license; expat license; mit/x11",
    "MIT-0": "mit no attribution license (mit-0); mit no attribution",
    "Apache-2.0": (
        "apache software license; apache license 2.0; apache 2.0; apache 2; apache-2; "
        "apache license, version 2.0; apache license version 2.0; apache-2.0 license; "
        "apache software license 2.0"
    ),
    "BSD-2-Clause": (
        "bsd 2-clause license; bsd 2-clause; simplified bsd license; "
        "bsd-2-clause license; 2-clause bsd license; freebsd license"
    ),
    "BSD-3-Clause": (
        "bsd license; bsd; bsd 3-clause license; bsd 3-clause; new bsd license; "
        "modified bsd license; bsd-3-clause license; 3-clause bsd license; revised bsd"
    ),
    "0BSD": "zero-clause bsd (0bsd)",
    "ISC": "isc license (iscl); isc license; isc",
    "MPL-2.0": (
        "mozilla public license 2.0 (mpl 2.0); mpl 2.0; mozilla public license 2.0; "
        "mozilla public license, version 2.0; mozilla public license version 2.0"
    ),
    "PSF-2.0": (
        "python software foundation license; psf license; psf; psfl; "
        "python software foundation license version 2"
    ),
    "GPL-2.0-only": "gnu general public license v2 (gplv2); gplv2; gpl-2.0; gpl v2",
    "GPL-2.0-or-later": (
        "gnu general public license v2 or later (gplv2+); gplv2+; gpl v2 or later"
    ),
    "GPL-3.0-only": "gnu general public license v3 (gplv3); gplv3; gpl-3.0; gpl v3",
    "GPL-3.0-or-later": (
        "gnu general public license v3 or later (gplv3+); gplv3+; gpl v3 or later"
    ),
    "LGPL-2.1-only": "lgpl-2.1; gnu lesser general public license v2.1",
    "LGPL-2.1-or-later": (
        "gnu lesser general public license v2 or later (lgplv2+); lgplv2+; lgpl-2.1+"
    ),
    "LGPL-3.0-only": "gnu lesser general public license v3 (lgplv3); lgplv3; lgpl-3.0",
    "LGPL-3.0-or-later": (
        "gnu lesser general public license v3 or later (lgplv3+); lgplv3+"
    ),
    "AGPL-3.0-only": "gnu affero general public license v3; agpl-3.0; agplv3",
    "Unlicense": "the unlicense (unlicense); the unlicense; unlicense",
    "Zlib": "zlib/libpng license; zlib license; zlib",
    "CC0-1.0": "cc0 1.0 universal (cc0 1.0) public domain dedication; cc0 1.0; cc0",
    "BSL-1.0": "boost software license 1.0 (bsl-1.0); boost software license 1.0",
    "HPND": "historical permission notice and disclaimer (hpnd)",
    "Artistic-2.0": "artistic license 2.0; artistic license",
    "LGPL-2.0-only": "lgpl-2.0",
    "AFL-2.1": "academic free license 2.1",
    "EPL-2.0": "eclipse public license 2.0 (epl-2.0)",
    "CNRI-Python": "cnri python license",
    "Blessing": "sqlite blessing",
}
"""What METADATA's License field and the trove classifiers write, in lower case."""

_BY_TITLE: dict[str, str] = {
    title.strip(): spdx
    for spdx, titles in _TITLES.items()
    for title in (spdx.lower(), *titles.split(";"))
}

_PHRASES: tuple[tuple[str, str], ...] = (
    ("MIT", r"\bMIT License\b|Permission is hereby granted, free of charge, to any"),
    ("Apache-2.0", r"Apache License,?\s+Version 2\.0|Apache-2\.0 licen[cs]e"),
    ("BSD-3-Clause", r"BSD 3-Clause|3-Clause BSD|Neither the name of [^.]{3,200}? may"),
    ("BSD-2-Clause", r"BSD 2-Clause|2-Clause BSD"),
    ("ISC", r"\bISC License\b"),
    ("MPL-2.0", r"Mozilla Public License,?\s+(?:v\.|Version)\s*2\.0"),
    ("PSF-2.0", r"PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2"),
    ("GPL-2.0-only", r"GNU GENERAL PUBLIC LICENSE\s+Version 2"),
    ("GPL-3.0-only", r"GNU GENERAL PUBLIC LICENSE\s+Version 3"),
    ("LGPL-2.1-only", r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 2\.1"),
    ("LGPL-3.0-only", r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3"),
    ("AGPL-3.0-only", r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version 3"),
    ("Unlicense", r"This is free and unencumbered software released into the public"),
    ("BSL-1.0", r"Boost Software License - Version 1\.0"),
)
_TEXT = re.compile(
    "|".join(f"(?P<p{at}>{phrase})" for at, (_, phrase) in enumerate(_PHRASES)),
    re.IGNORECASE,
)
_TAGGED = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+() -]{2,100})")
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_OPERATORS = frozenset({"and", "or", "with"})
_UNNAMED_CHARACTERS_MAX = 60


def of_expression(expression: str) -> tuple[str, ...]:
    """Return the licences in an SPDX expression such as `MIT OR (Apache-2.0)`.

    What stands behind `WITH` is an exception and not a licence of its own.
    """
    found: dict[str, None] = {}
    before = ""
    terms: list[str] = _TERM.findall(expression)
    for term in terms:
        if term.lower() not in _OPERATORS and before != "with":
            found[_BY_TITLE.get(term.lower(), term)] = None
        before = term.lower()
    return tuple(found)


def of_metadata(
    expression: str, field: str, classifiers: Iterable[str]
) -> tuple[str, ...]:
    """Return a distribution's licences: of its expression, else classifiers and field.

    A field that is no known name is kept as it is if it is short; often it holds the
    whole licence.
    """
    if expression:
        return of_expression(expression)
    found: dict[str, None] = {}
    for classifier in classifiers:
        parts = [part.strip() for part in classifier.split("::")]
        if parts[0] == "License" and parts[-1] not in {"License", "OSI Approved"}:
            found[_BY_TITLE.get(parts[-1].lower(), parts[-1])] = None
    known = _BY_TITLE.get(field.strip().lower(), "")
    if known:
        # The classifier for BSD does not tell how many clauses; the field may.
        if known.startswith("BSD"):
            found.pop("BSD-3-Clause", None)
        found[known] = None
    elif field and "\n" not in field and len(field) <= _UNNAMED_CHARACTERS_MAX:
        terms = of_expression(field)
        if set(map(str.lower, terms)) <= set(_BY_TITLE):
            found.update(dict.fromkeys(terms))
        elif not found:
            found[field.strip()] = None
    return tuple(found)


def in_text(text: str) -> dict[str, int]:
    """Return how often a text names or quotes each licence."""
    found: dict[str, int] = {}
    for match in _TEXT.finditer(text):
        spdx = _PHRASES[int((match.lastgroup or "p0")[1:])][0]
        found[spdx] = found.get(spdx, 0) + 1
    for match in _TAGGED.finditer(text):
        for spdx in of_expression(match[1]):
            found[spdx] = found.get(spdx, 0) + 1
    return found
