"""An independent model of redrives: each parking leads to one at most."""

from .promise import Row, holds


class RedriveModel:
    """Which entries were opened, and which of them were redriven."""

    def __init__(self) -> None:
        self.parked: set[str] = set()
        self.redriven: set[str] = set()
        """Entries whose item goes on."""
        self.returned: set[str] = set()

    def take(self, row: Row) -> None:
        """See one event, before other models do."""
        match row.tag:
            case "dead_letter.parked":
                self.parked.add(row.stream)
            case "dead_letter.returned":
                self._once(self.returned, row.stream, row)
            case "item.redriven":
                self._once(self.redriven, row.data["entry"], row)
            case _:
                pass

    def _once(self, seen: set[str], entry: str, row: Row) -> None:
        holds(entry in self.parked, 5, row, f"{entry} was never parked")
        holds(entry not in seen, 5, row, f"{entry} is redriven a second time")
        seen.add(entry)

    def check(self, row: Row) -> None:
        """After an append: an item that goes on is no dead letter any more."""
        if row.tag == "item.redriven":
            entry = row.data["entry"]
            holds(entry in self.returned, 3, row, f"{entry} is kept besides")
