"""`dramaturg ask-graph` and `dramaturg search`: what the documents say."""

from pathlib import Path
from typing import Annotated

import anyio
from anyio.to_thread import run_sync
from cyclopts import Parameter

from ...applications.documents.graph_connection import Rows
from ...applications.documents.index import Hit, IndexUnavailableError, open_index
from ...applications.documents.questions import (
    QUESTIONS,
    UnknownQuestionError,
    open_for_questions,
)
from ...applications.documents.settings import Layout
from ..errors import UsageError
from ..options import Json
from ..output import Output


def ask_graph(
    question: Annotated[
        str | None,
        Parameter(help="Its name, such as depends-on; without it they are listed."),
    ] = None,
    about: Annotated[str, Parameter(help="Such as msgspec.")] = "",
    *,
    cypher: Annotated[str, Parameter(help="Ask in Cypher instead.")] = "",
    data: Annotated[Path, Parameter(help="The data folder.")] = Path("var"),
    as_json: Json = False,
) -> int:
    """Ask the graph, such as `dramaturg ask-graph depends-on msgspec`."""
    output = Output(as_json=as_json)
    if question is None and not cypher:
        listed = (
            {"question": name, "about": asked.needs, "text": asked.text}
            for name, asked in QUESTIONS.items()
        )
        output.rows(("question", "about", "text"), listed)
        return 0
    rows = anyio.run(_ask, data, question or "", about, cypher)
    named = (dict(zip(rows.columns, row, strict=True)) for row in rows.rows)
    output.rows(rows.columns, named)
    if rows.more:
        output.error("there are more rows than are shown")
    return 0


async def _ask(data: Path, question: str, about: str, cypher: str) -> Rows:
    async with open_for_questions(Layout(data).graph) as graph:
        try:
            if cypher:
                return await graph.ask_cypher(cypher)
            return await graph.ask(question, about)
        except UnknownQuestionError as error:
            raise UsageError(str(error)) from error


def search(
    *words: Annotated[str, Parameter(help="Words that a document has to hold.")],
    most: Annotated[int, Parameter(help="How many documents to show.")] = 10,
    data: Annotated[Path, Parameter(help="The data folder.")] = Path("var"),
    as_json: Json = False,
) -> int:
    """Find documents by their words in the full-text index."""
    if not "".join(words).strip():
        raise UsageError("name the words to look for")
    if most < 1:
        raise UsageError(f"--most is {most}: give a number from 1 on")
    hits = anyio.run(_search, data, " ".join(words), most)
    rows = (
        {"title": hit.title, "kind": hit.kind, "snippet": hit.snippet} for hit in hits
    )
    Output(as_json=as_json).rows(("title", "kind", "snippet"), rows)
    return 0


async def _search(data: Path, words: str, most: int) -> tuple[Hit, ...]:
    index = Layout(data).index
    if not await run_sync(index.exists):
        raise IndexUnavailableError(
            f"there is no index in {data}: run `dramaturg ingest` first"
        )
    async with open_index(index) as found:
        return await found.find(words, hits_max=most)
