"""The graph's tables: what its nodes and edges are, in the words of its language."""

from .entities import EntityKind

LABELS: dict[EntityKind, str] = {
    "distribution": "Distribution",
    "version": "Version",
    "licence": "Licence",
    "person": "Person",
    "address": "Address",
}
"""The node tables of the things that documents share, by their kind."""

_SHARED = tuple(
    f"CREATE NODE TABLE IF NOT EXISTS {label}(name STRING PRIMARY KEY)"
    for label in LABELS.values()
)
_MENTIONS = ", ".join(f"FROM Document TO {label}" for label in LABELS.values())

TABLES: tuple[str, ...] = (
    (
        "CREATE NODE TABLE IF NOT EXISTS Document(key STRING PRIMARY KEY, kind STRING, "
        "title STRING, content STRING, entities STRING, entities_bytes INT64, step STRING)"
    ),
    (
        "CREATE NODE TABLE IF NOT EXISTS Step(key STRING PRIMARY KEY, document STRING, "
        "undone BOOL, previous STRING)"
    ),
    *_SHARED,
    f"CREATE REL TABLE IF NOT EXISTS MENTIONS({_MENTIONS}, count INT64)",
    "CREATE REL TABLE IF NOT EXISTS BELONGS_TO(FROM Document TO Distribution)",
    (
        "CREATE REL TABLE IF NOT EXISTS DESCRIBES(FROM Document TO Distribution, "
        "version STRING, summary STRING)"
    ),
    (
        "CREATE REL TABLE IF NOT EXISTS HAS_VERSION(FROM Distribution TO Version, "
        "document STRING)"
    ),
    (
        "CREATE REL TABLE IF NOT EXISTS DEPENDS_ON(FROM Distribution TO Distribution, "
        "document STRING, requirement STRING, extra STRING)"
    ),
    (
        "CREATE REL TABLE IF NOT EXISTS LICENSED_UNDER(FROM Distribution TO Licence, "
        "document STRING)"
    ),
    (
        "CREATE REL TABLE IF NOT EXISTS LOOKS_AFTER(FROM Person TO Distribution, "
        "document STRING, role STRING, email STRING)"
    ),
    (
        "CREATE REL TABLE IF NOT EXISTS LINKS_TO(FROM Distribution TO Address, "
        "document STRING, label STRING)"
    ),
)
"""Every edge between shared nodes names the document that said so.

So a document's contributions can be taken back while those of others stay.
"""

DESCRIBED_EDGES: tuple[tuple[str, str], ...] = (
    ("(:Distribution {name: $name})-[e:HAS_VERSION]->(n:Version)", "Version"),
    ("(:Distribution {name: $name})-[e:DEPENDS_ON]->(n:Distribution)", "Distribution"),
    ("(:Distribution {name: $name})-[e:LICENSED_UNDER]->(n:Licence)", "Licence"),
    ("(n:Person)-[e:LOOKS_AFTER]->(:Distribution {name: $name})", "Person"),
    ("(:Distribution {name: $name})-[e:LINKS_TO]->(n:Address)", "Address"),
)
"""The edges at a described distribution, and what stands at their other end."""
