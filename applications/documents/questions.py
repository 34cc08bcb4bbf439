"""Questions to the graph: a few by name, and any other in its own language."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from .corpus import normalise
from .dedicated_thread import DedicatedThread
from .errors import DocumentError, GraphError
from .graph_connection import GraphConnection, Rows

ROWS_MAX = 1000
STATEMENT_TIMEOUT_S = 30.0


class UnknownQuestionError(DocumentError):
    """No question has this name, or it was asked without its subject."""


class Question(msgspec.Struct, frozen=True):
    """A question that can be asked by its name."""

    text: str
    """What is asked, for people."""
    cypher: str
    needs: str = ""
    """What has to be named, such as `a distribution`; empty: nothing."""


_LICENCES = "OPTIONAL MATCH (d)-[:LICENSED_UNDER]->(l:Licence) "

QUESTIONS: Mapping[str, Question] = {
    "depends-on": Question(
        "Which distributions depend on this one, and under which licences are they?",
        "MATCH (d:Distribution)-[e:DEPENDS_ON]->(:Distribution {name: $name}) "
        + _LICENCES
        + "WITH d, collect(DISTINCT e.requirement) AS requirements, "
        "collect(DISTINCT l.name) AS licences "
        "RETURN d.name AS distribution, requirements, licences ORDER BY distribution",
        "a distribution",
    ),
    "dependencies": Question(
        "Which distributions does this one depend on, and under which licences?",
        "MATCH (:Distribution {name: $name})-[e:DEPENDS_ON]->(d:Distribution) "
        + _LICENCES
        + "WITH d, collect(DISTINCT e.requirement) AS requirements, "
        "collect(DISTINCT l.name) AS licences "
        "RETURN d.name AS distribution, requirements, licences ORDER BY distribution",
        "a distribution",
    ),
    "licences": Question(
        "Which licences are there, and which distributions are under them?",
        "MATCH (d:Distribution)-[:LICENSED_UNDER]->(l:Licence) "
        "WITH l, collect(DISTINCT d.name) AS names "
        "RETURN l.name AS licence, size(names) AS count, "
        "list_sort(names) AS distributions ORDER BY count DESC, licence",
    ),
    "maintainers": Question(
        "Who made this distribution or looks after it?",
        "MATCH (p:Person)-[e:LOOKS_AFTER]->(:Distribution {name: $name}) "
        "RETURN DISTINCT p.name AS person, e.role AS role, e.email AS email "
        "ORDER BY role, person",
        "a distribution",
    ),
    "mentions": Question(
        "Which documents mention this distribution?",
        "MATCH (d:Document)-[e:MENTIONS]->(:Distribution {name: $name}) "
        "RETURN d.title AS document, d.kind AS kind, e.count AS count "
        "ORDER BY count DESC, document",
        "a distribution",
    ),
    "most-mentioned": Question(
        "Which distributions are mentioned in most documents?",
        "MATCH (d:Document)-[e:MENTIONS]->(n:Distribution) "
        "RETURN n.name AS distribution, count(d) AS documents, "
        "sum(e.count) AS mentions ORDER BY documents DESC, distribution LIMIT 50",
    ),
    "contents": Question(
        "How much is in the graph?",
        "MATCH (n) RETURN label(n) AS kind, count(*) AS count ORDER BY count DESC",
    ),
}
"""The questions by name."""


class GraphReader:
    """Asks a graph that is open for reading only."""

    def __init__(self, connection: GraphConnection, thread: DedicatedThread) -> None:
        self._connection = connection
        self._thread = thread

    async def ask(
        self, name: str, about: str = "", *, rows_max: int = ROWS_MAX
    ) -> Rows:
        """Ask a question by its name. Raises `UnknownQuestionError`."""
        question = QUESTIONS.get(name)
        if question is None:
            raise UnknownQuestionError(
                f"there is no question {name!r}: ask one of {', '.join(QUESTIONS)}"
            )
        if question.needs and not about:
            raise UnknownQuestionError(f"{name!r} asks about {question.needs}: name it")
        parameters = {"name": normalise(about)} if question.needs else {}
        return await self._run(question.cypher, parameters, rows_max)

    async def ask_cypher(self, cypher: str, *, rows_max: int = ROWS_MAX) -> Rows:
        """Ask in Cypher. Raises `GraphError` for what is wrong or would change it."""
        return await self._run(cypher, {}, rows_max)

    async def _run(self, cypher: str, parameters: dict[str, str], limit: int) -> Rows:
        return await self._thread.run(
            self._connection.query, cypher, parameters, rows_max=limit
        )


@asynccontextmanager
async def open_for_questions(path: Path) -> AsyncGenerator[GraphReader, None]:
    """Open the graph for reading only; it may have been left by a crash.

    What another process writes meanwhile may or may not be seen. Raises `GraphError`
    when there is no graph.
    """
    thread = DedicatedThread("questions to the graph")
    try:
        connection = await thread.run(_connect, path)
        try:
            yield GraphReader(connection, thread)
        finally:
            await thread.finish(connection.close)
    finally:
        await thread.close()


def _connect(path: Path) -> GraphConnection:
    if not path.exists():
        raise GraphError(f"there is no graph at {path}: ingest documents first")
    return GraphConnection(
        path, statement_timeout_s=STATEMENT_TIMEOUT_S, read_only=True
    )
