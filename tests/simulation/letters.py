"""An independent model of dead letters."""

from .promise import Row, holds

ENDS = frozenset({"returned", "evicted", "expired", "discarded", "resolved"})
REMARKS = frozenset({"claimed", "released", "noted", "escalated", "prioritised"})


class LetterModel:
    """One entry."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.place = "new"
        self.item = ""
        self.planned = False
        self.claimed = False
        self.redrives = 0
        self.redrives_max = 0
        self.strategy = ""

    @property
    def is_open(self) -> bool:
        """Whether the work it stands for is here."""
        return self.place in {"parked", "redriving"}

    def take(self, row: Row) -> None:
        """Fold one event; it must be lawful."""
        name = row.tag.removeprefix("dead_letter.")
        lawful = self._is_lawful(name, row)
        holds(lawful, 5, row, "not lawful for", vars(self))
        if name == "parked":
            self.place, self.item = "parked", row.data["item"]
            self.redrives = row.data.get("redrives", 0)
            self.redrives_max = row.data.get("redrives_max", 5)
            self.strategy = row.data.get("strategy", "exponential")
        elif name == "retry_scheduled":
            self.planned = True
        elif name in {"retry_cancelled", "redrive_requested"}:
            self.planned = False
            if name == "redrive_requested":
                self.place = "redriving"
        elif name == "redrive_refused":
            self.place = "parked"
        elif name in {"claimed", "released"}:
            self.claimed = name == "claimed"
        elif name in ENDS:
            self.place = name

    def _is_lawful(self, name: str, row: Row) -> bool:
        if name == "parked":
            return self.place == "new" and row.version == 1
        if name in {"returned", "redrive_refused"}:
            return self.place == "redriving"
        if name == "redrive_requested":
            return self.place == "parked" and self.planned
        if name == "expired":
            return self.place == "parked" and not self.claimed
        known = ENDS | REMARKS | {"retry_scheduled", "retry_cancelled"}
        return name in known and self.place == "parked"
