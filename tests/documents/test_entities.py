"""What is found in documents: names in prose, licences, people and addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.applications.documents.entities import (
    Contributor,
    Dependency,
    Entities,
    Link,
    find,
)
from dramaturg.applications.documents.gazetteer import Gazetteer
from dramaturg.applications.documents.licences import (
    in_text,
    of_expression,
    of_metadata,
)
from dramaturg.applications.documents.metadata import Contact, read_metadata

from .making import METADATA

NAMES = (
    "msgspec",
    "python-docx",
    "docx",
    "rich",
    "Rich_RST",
    "anyio",
    "py",
    "jaraco.path",
)
GAZETTEER = Gazetteer(NAMES)


def mentioned(text: str) -> list[tuple[str, str]]:
    return [(found.name, found.version) for found in GAZETTEER.find(text)]


def names(text: str) -> list[str]:
    return [name for name, _ in mentioned(text)]


def found(entities: Entities, kind: str) -> dict[str, int]:
    return {each.name: each.count for each in entities.mentions if each.kind == kind}


@pytest.mark.parametrize(
    "text",
    [
        "msgspec",
        "MsgSpec.",
        "(msgspec)",
        "msgspec.json",
        "msgspec's",
        "use msgspec, too",
    ],
)
def test_a_name_is_found_where_it_stands_alone(text: str) -> None:
    assert names(text) == ["msgspec"]


@pytest.mark.parametrize(
    "text",
    [
        "msgspecs",
        "xmsgspec",
        "my-msgspec",
        "msgspec-x",
        "_msgspec",
        "a/msgspec/b",
        "x.msgspec",
        "msgspec@x",
        "\\msgspec",
    ],
)
def test_a_name_in_another_word_or_a_path_is_none(text: str) -> None:
    assert names(text) == []


def test_the_longer_name_is_the_one_that_is_meant() -> None:
    assert names("python-docx reads docx") == ["python-docx", "docx"]


def test_spellings_do_not_matter() -> None:
    assert names("rich_rst and Rich-RST and jaraco.path") == [
        "rich-rst",
        "rich-rst",
        "jaraco-path",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "`rich`",
        "import rich",
        "pip install rich",
        "rich>=12",
        "rich 15.0",
        "'rich'",
        "rich[jupyter]>=12",
        "https://pypi.org/project/rich/",
    ],
)
def test_a_word_counts_where_it_is_plainly_meant(text: str) -> None:
    assert names(text) == ["rich"]


@pytest.mark.parametrize(
    "text", ["a rich man", "Rich text", "rich", "py", "the py file"]
)
def test_a_word_in_plain_prose_does_not_count(text: str) -> None:
    assert names(text) == []


def test_a_version_behind_a_name_belongs_to_it() -> None:
    assert mentioned("msgspec 0.18, anyio>=4.1.0rc1; rich v15.0") == [
        ("msgspec", "0.18"),
        ("anyio", "4.1.0rc1"),
        ("rich", "15.0"),
    ]


def test_a_number_that_is_no_version_is_left_alone() -> None:
    assert mentioned("msgspec 5 and msgspec 1.2.x") == [
        ("msgspec", ""),
        ("msgspec", ""),
    ]


def test_letters_that_grow_in_lower_case_do_not_shift_the_rest() -> None:
    assert names("İİİ `rich` İ") == ["rich"]


def test_nothing_is_found_without_names() -> None:
    assert list(Gazetteer(["", "-"]).find("anything")) == []
    assert GAZETTEER.names >= {"msgspec", "rich-rst"}


@given(st.lists(st.sampled_from([*NAMES, " ", "-", "`", "1.2", ".", "İ"])).map("".join))
def test_every_mention_is_the_name_where_it_says(text: str) -> None:
    for mention in GAZETTEER.find(text):
        written = text[mention.start : mention.end].lower()
        assert written.replace("_", "-").replace(".", "-") == mention.name


def test_metadata_says_what_the_distribution_is() -> None:
    described = find(
        "", GAZETTEER, metadata=read_metadata(METADATA.encode(), "x")
    ).described

    assert described is not None
    assert (described.name, described.version) == ("snail-mail", "1.2.3")
    assert described.summary == "Letters that arrive"
    assert described.licences == ("Apache-2.0", "MIT")
    assert described.dependencies == (
        Dependency("anyio", 'anyio<5,>=4; python_version < "3.13"'),
        Dependency("msgspec", "msgspec>=0.18"),
        Dependency("rich", 'rich ; extra == "pretty"', "pretty"),
    )
    assert described.contributors == (
        Contributor("Ada Lovelace", "author", "ada@example.org"),
        Contributor("Alan Turing", "maintainer", "alan@example.org"),
        Contributor("Grace Hopper", "maintainer", "grace@example.org"),
    )
    assert described.links == (Link("https://example.org/snail/", "homepage"),)


def test_old_metadata_is_understood() -> None:
    text = (
        "Name: x\nVersion: 1\nSummary: UNKNOWN\nHome-page: http://x.org\n"
        "Author: Ada Lovelace and Alan Turing\nAuthor-email: team@x.org\n"
        "Maintainer-email: nobody\nProject-URL: no comma\nDescription: old style\n"
        "Requires-Dist: (odd)\n\n"
    )
    read = read_metadata(text.encode(), "x")

    assert read.summary == ""
    assert read.description == "old style"
    assert read.links == (("home-page", "http://x.org"),)
    assert read.contacts == (
        Contact("Ada Lovelace", "", "author"),
        Contact("Alan Turing", "", "author"),
        Contact("", "team@x.org", "author"),
    )
    described = find("", GAZETTEER, metadata=read).described
    assert described is not None
    assert described.dependencies == ()
    assert described.contributors[-1].name == "team@x.org"


def test_mail_and_web_addresses_are_found() -> None:
    text = (
        "Write to Ada@Example.org or see <https://Example.org/a_(b)>, "
        "(http://example.org/c). Not ada@localhost, nor ftp://x.org."
    )

    assert found(find(text, GAZETTEER), "address") == {
        "mailto:ada@example.org": 1,
        "https://example.org/a_(b)": 1,
        "http://example.org/c": 1,
    }


def test_holders_of_copyrights_are_people() -> None:
    text = (
        "Copyright (c) 2020-2024 Jane Doe <jane@x.org>. All rights reserved.\n"
        "# Copyright © 2019, 2021 by John Smith (https://x.org)\n"
        "copyright notice: 2020 is not a name\n"
        "Copyright 2020 " + "x" * 99 + "\n"
        "Copyright (c) 2020 Jane Doe\n"
    )

    assert found(find(text, GAZETTEER), "person") == {"Jane Doe": 2, "John Smith": 1}


def test_a_document_does_not_mention_the_distribution_it_came_with() -> None:
    entities = find("msgspec 0.18 and anyio", GAZETTEER, belongs_to="msgspec")

    assert found(entities, "distribution") == {"anyio": 1}
    assert found(entities, "version") == {}
    assert entities.belongs_to == "msgspec"


def test_the_most_frequent_mentions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dramaturg.applications.documents.entities.MENTIONS_MAX", 1)

    entities = find("anyio msgspec msgspec", GAZETTEER)

    assert found(entities, "distribution") == {"msgspec": 2}


@given(st.text())
def test_the_same_text_gives_the_same_entities(text: str) -> None:
    assert find(text, GAZETTEER) == find(text, Gazetteer(reversed(NAMES)))


@pytest.mark.parametrize(
    ("expression", "licences"),
    [
        ("MIT", ("MIT",)),
        ("mit OR (Apache-2.0 AND BSD-3-Clause)", ("MIT", "Apache-2.0", "BSD-3-Clause")),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ("GPL-2.0-only",)),
        ("LicenseRef-Mine", ("LicenseRef-Mine",)),
    ],
)
def test_an_expression_names_licences(
    expression: str, licences: tuple[str, ...]
) -> None:
    assert of_expression(expression) == licences


@pytest.mark.parametrize(
    ("field", "classifiers", "licences"),
    [
        ("", ["License :: OSI Approved :: MIT License"], ("MIT",)),
        ("BSD-2-Clause", ["License :: OSI Approved :: BSD License"], ("BSD-2-Clause",)),
        ("MIT OR Apache-2.0", [], ("MIT", "Apache-2.0")),
        ("Our own licence", [], ("Our own licence",)),
        ("Our own licence", ["License :: OSI Approved :: MIT License"], ("MIT",)),
        ("A whole licence\nin many lines", ["License :: OSI Approved"], ()),
        (
            "",
            ["Topic :: Software", "License :: Free for non-commercial use"],
            ("Free for non-commercial use",),
        ),
        ("", [], ()),
    ],
)
def test_old_fields_name_licences_too(
    field: str, classifiers: list[str], licences: tuple[str, ...]
) -> None:
    assert of_metadata("", field, classifiers) == licences


def test_a_text_may_quote_or_name_licences() -> None:
    text = (
        "SPDX-License-Identifier: MIT OR Apache-2.0\n"
        "Permission is hereby granted, free of charge, to any person ...\n"
        "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007"
    )

    assert in_text(text) == {"MIT": 2, "Apache-2.0": 1, "GPL-3.0-only": 1}
