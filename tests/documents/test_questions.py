"""What the graph can be asked."""

from pathlib import Path

import pytest

from dramaturg.applications.documents.entities import find
from dramaturg.applications.documents.errors import GraphError
from dramaturg.applications.documents.gazetteer import Gazetteer
from dramaturg.applications.documents.metadata import read_metadata
from dramaturg.applications.documents.questions import (
    QUESTIONS,
    UnknownQuestionError,
    open_for_questions,
)

from .making import METADATA
from .test_graph import bench

pytestmark = pytest.mark.asyncio


async def filled(folder: Path) -> Path:
    other = METADATA.replace("Snail_Mail", "Other").replace("MIT OR Apache-2.0", "MIT")
    async with bench(folder) as on:
        for key, text in (("snail", METADATA), ("other", other)):
            metadata = read_metadata(text.encode(), key)
            entities = find(
                metadata.description, Gazetteer(["msgspec", "rich"]), metadata=metadata
            )
            await on.write(f"{key}#0", key, entities)
    return folder / "deep" / "graph.lbug"


async def test_the_named_questions_have_answers(tmp_path: Path) -> None:
    async with open_for_questions(await filled(tmp_path)) as graph:
        depends = await graph.ask("depends-on", "MsgSpec")
        licences = await graph.ask("licences")
        maintainers = await graph.ask("maintainers", "snail.mail")
        mentions = await graph.ask("mentions", "msgspec")

    assert depends.columns == ("distribution", "requirements", "licences")
    assert [(name, asked) for name, asked, _ in depends.rows] == [
        ("other", ["msgspec>=0.18"]),
        ("snail-mail", ["msgspec>=0.18"]),
    ]
    assert sorted(depends.rows[1][2]) == ["Apache-2.0", "MIT"]
    assert licences.rows == (
        ("MIT", 2, ["other", "snail-mail"]),
        ("Apache-2.0", 1, ["snail-mail"]),
    )
    assert maintainers.rows == (
        ("Ada Lovelace", "author", "ada@example.org"),
        ("Alan Turing", "maintainer", "alan@example.org"),
        ("Grace Hopper", "maintainer", "grace@example.org"),
    )
    assert mentions.rows == (("Other", "text", 1), ("Snail", "text", 1))


async def test_every_named_question_can_be_asked(tmp_path: Path) -> None:
    async with open_for_questions(await filled(tmp_path)) as graph:
        for name in QUESTIONS:
            assert (await graph.ask(name, "msgspec")).columns


async def test_any_question_can_be_asked_in_cypher(tmp_path: Path) -> None:
    async with open_for_questions(await filled(tmp_path)) as graph:
        found = await graph.ask_cypher("MATCH (d:Document) RETURN count(d)")

    assert found.rows == ((2,),)


async def test_a_question_changes_nothing(tmp_path: Path) -> None:
    async with open_for_questions(await filled(tmp_path)) as graph:
        with pytest.raises(GraphError, match="for reading only"):
            await graph.ask_cypher("MATCH (d:Document) DETACH DELETE d")


async def test_an_unknown_question_names_the_known_ones(tmp_path: Path) -> None:
    async with open_for_questions(await filled(tmp_path)) as graph:
        with pytest.raises(UnknownQuestionError, match="ask one of depends-on"):
            await graph.ask("why")
        with pytest.raises(UnknownQuestionError, match="asks about a distribution"):
            await graph.ask("mentions")


async def test_a_graph_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="ingest documents first"):
        async with open_for_questions(tmp_path / "nothing"):
            pass
