"""An independent model of one breaker, as far as the log has to be exact."""

from .promise import Row, holds


class BreakerModel:
    """Generations, phases and probes."""

    def __init__(self, permitted: int, failed: dict[int, int]) -> None:
        self.permitted = permitted
        self.failed = failed
        """Failures of calls that began in each generation, as the world saw them."""
        self.phase = "closed"
        self.generation: int = 1
        self.out: dict[int, int] = {}
        """Probes granted and not settled, with the position of their grant."""
        self.granted: dict[int, int] = {}
        """How many probes were granted in each generation."""

    def take(self, row: Row) -> None:
        """Fold one event; it must be lawful."""
        name, data = row.tag.removeprefix("breaker."), row.data
        phases = PHASES.get(name)
        if phases is not None:
            before, after = phases
            by_hand = name == "opened" and data["evidence"]["rule"] == "manual"
            known = self.phase in before or by_hand
            lawful = known and data["generation"] == self.generation + 1
            holds(lawful, 5, row, f"the breaker is {self.phase} {self.generation}")
            if name in {"opened", "reopened"}:
                counted = data["evidence"]["failures"]
                seen = self.failed.get(self.generation, 0)
                holds(counted <= seen, 5, row, f"{seen} calls of it have failed")
            self.phase, self.generation = after, data["generation"]
        elif name == "probe_granted":
            holds(self.phase == "half_open", 5, row, f"while {self.phase}")
            self.out[data["lease"]["probe"]] = row.position
            holds(len(self.out) <= self.permitted, 6, row, "beside", self.out)
            count = self.granted.get(self.generation, 0)
            self.granted[self.generation] = count + 1
        elif name in {"probe_settled", "probe_expired"}:
            # One of an earlier generation has no lease any more.
            lawful = self.out.pop(data["probe"], None) is not None
            holds(lawful, 5, row, "such a probe is not out")


PHASES = {
    "opened": (("closed",), "open"),
    "half_opened": (("open",), "half_open"),
    "reopened": (("half_open",), "open"),
    "closed": (("half_open",), "closed"),
    "reset": (("closed", "open", "half_open"), "closed"),
}
