"""What a document says as nodes and edges, and back again."""

from typing import Any

import msgspec

from .entities import (
    Contributor,
    Dependency,
    Described,
    Entities,
    EntityKind,
    Link,
    Mention,
)
from .graph_connection import GraphConnection
from .schema import DESCRIBED_EDGES, LABELS

_KINDS: dict[str, EntityKind] = {label: kind for kind, label in LABELS.items()}


def write_entities(graph: GraphConnection, key: str, entities: Entities) -> None:
    """Write what the document `key` says; its node is there, without any edges."""
    for kind, label in LABELS.items():
        rows = [
            {"name": each.name, "count": each.count}
            for each in entities.mentions
            if each.kind == kind
        ]
        edge = "(d)-[:MENTIONS {count: row.count}]->(n)"
        _write_edges(graph, key, label, rows, edge)
    if entities.belongs_to:
        rows = [{"name": entities.belongs_to}]
        _write_edges(graph, key, "Distribution", rows, "(d)-[:BELONGS_TO]->(n)")
    if entities.described:
        _write_described(graph, key, entities.described)


def _write_described(graph: GraphConnection, key: str, found: Described) -> None:
    """Write what the document says of a distribution: as edges that name it."""
    name = found.name

    def write(label: str, rows: list[dict[str, Any]], edge: str) -> None:
        _write_edges(graph, key, label, rows, edge, of=name)

    _write_edges(
        graph,
        key,
        "Distribution",
        [{"name": name, "version": found.version, "summary": found.summary}],
        "(d)-[:DESCRIBES {version: row.version, summary: row.summary}]->(n)",
    )
    write(
        "Version",
        [{"name": f"{name} {found.version}"}],
        "(s)-[:HAS_VERSION {document: $key}]->(n)",
    )
    write(
        "Licence",
        [{"name": licence} for licence in found.licences],
        "(s)-[:LICENSED_UNDER {document: $key}]->(n)",
    )
    write(
        "Distribution",
        [msgspec.structs.asdict(each) for each in found.dependencies],
        "(s)-[:DEPENDS_ON {document: $key, requirement: row.requirement, "
        "extra: row.extra}]->(n)",
    )
    write(
        "Person",
        [msgspec.structs.asdict(each) for each in found.contributors],
        "(n)-[:LOOKS_AFTER {document: $key, role: row.role, email: row.email}]->(s)",
    )
    write(
        "Address",
        [{"name": each.url, "label": each.label} for each in found.links],
        "(s)-[:LINKS_TO {document: $key, label: row.label}]->(n)",
    )


def _write_edges(  # noqa: PLR0913 - an edge has that many parts
    graph: GraphConnection,
    key: str,
    label: str,
    rows: list[dict[str, Any]],
    edge: str,
    *,
    of: str = "",
) -> None:
    """Make the nodes `n` that `rows` name, and an edge for each row.

    It begins or ends at the document `d` or, where `of` names one, at the
    distribution `s`.
    """
    if rows:
        match = "(s:Distribution {name: $of})" if of else "(d:Document {key: $key})"
        graph.run(
            f"MATCH {match} UNWIND $rows AS row "
            f"MERGE (n:{label} {{name: row.name}}) CREATE {edge}",
            {"rows": rows, "key": key, "of": of},
        )


def read_entities(graph: GraphConnection, key: str) -> Entities | None:
    """Read back what a document says. None: it is not there."""
    at = {"key": key}
    if not graph.run("MATCH (d:Document {key: $key}) RETURN d.key", at):
        return None
    mentions = graph.run(
        "MATCH (:Document {key: $key})-[m:MENTIONS]->(n) "
        "RETURN label(n), n.name, m.count",
        at,
    )
    belongs = graph.run(
        "MATCH (:Document {key: $key})-[:BELONGS_TO]->(n:Distribution) RETURN n.name",
        at,
    )
    described = graph.run(
        "MATCH (:Document {key: $key})-[e:DESCRIBES]->(n:Distribution) "
        "RETURN n.name, e.version, e.summary",
        at,
    )
    return Entities(
        mentions=tuple(
            sorted(Mention(_KINDS[label], name, n) for label, name, n in mentions)
        ),
        described=_read_described(graph, key, *described[0]) if described else None,
        belongs_to=belongs[0][0] if belongs else "",
    )


def _read_described(
    graph: GraphConnection, key: str, name: str, version: str, summary: str
) -> Described:
    def read(pattern: str, wanted: str) -> list[tuple[Any, ...]]:
        return graph.run(
            f"MATCH {pattern} WHERE e.document = $key RETURN {wanted}",
            {"key": key, "name": name},
        )

    versions, dependencies, licences, people, links = (
        pattern for pattern, _ in DESCRIBED_EDGES
    )
    found = read(versions, "n.name")
    return Described(
        name=name,
        version=version if found == [(f"{name} {version}",)] else "",
        summary=summary,
        licences=tuple(sorted(row[0] for row in read(licences, "n.name"))),
        dependencies=tuple(
            sorted(
                Dependency(*row)
                for row in read(dependencies, "n.name, e.requirement, e.extra")
            )
        ),
        contributors=tuple(
            sorted(Contributor(*row) for row in read(people, "n.name, e.role, e.email"))
        ),
        links=tuple(sorted(Link(*row) for row in read(links, "n.name, e.label"))),
    )


def remove(graph: GraphConnection, key: str) -> None:
    """Take a document and its contributions away; what others say stays."""
    at = {"key": key}
    if not graph.run("MATCH (d:Document {key: $key}) RETURN d.key", at):
        return
    touched = graph.run(
        "MATCH (:Document {key: $key})-[]->(n) RETURN DISTINCT label(n), n.name", at
    )
    described = graph.run(
        "MATCH (:Document {key: $key})-[:DESCRIBES]->(n:Distribution) RETURN n.name", at
    )
    for (name,) in described:
        of = {"key": key, "name": name}
        for pattern, label in DESCRIBED_EDGES:
            match = f"MATCH {pattern} WHERE e.document = $key"
            ends = graph.run(f"{match} RETURN DISTINCT n.name", of)
            touched += [(label, end) for (end,) in ends]
            if ends:
                graph.run(f"{match} DELETE e", of)
    graph.run("MATCH (d:Document {key: $key}) DETACH DELETE d", at)
    for label in LABELS.values():
        names = sorted({name for found, name in touched if found == label})
        if names:
            graph.run(
                f"MATCH (n:{label}) WHERE n.name IN $names "
                "AND NOT EXISTS { MATCH (n)-[]-() } DELETE n",
                {"names": names},
            )
