"""A limit on retries that all callers of one dependency share."""

from ..settings import require


class RetryBudget:
    """Allows retries in proportion to calls, so that they cannot multiply the load.

    Each call pays in `ratio` of a retry, each retry costs one; `reserve` lets a few
    happen before there were many calls, and no more than `saved_max` are saved up.
    When a dependency fails altogether its load grows by `ratio`, not by the number
    of attempts (after the retry budgets of Finagle and gRPC).
    """

    __slots__ = ("_balance", "_ratio", "_saved_max", "refused")

    def __init__(
        self, ratio: float = 0.2, reserve: float = 10.0, saved_max: float = 100.0
    ) -> None:
        require(holds=0 <= ratio <= 1, name="ratio", value=ratio, rule="0 to 1")
        require(
            holds=0 <= reserve <= saved_max,
            name="reserve",
            value=reserve,
            rule=f"0 to saved_max, {saved_max!r}",
        )
        self._ratio = ratio
        self._saved_max = saved_max
        self._balance = reserve
        self.refused = 0
        """Retries that were not made for want of budget."""

    @property
    def balance(self) -> float:
        """How many retries are allowed now."""
        return self._balance

    def pay_in(self) -> None:
        """Note that a call is made."""
        self._balance = min(self._saved_max, self._balance + self._ratio)

    def take(self) -> bool:
        """Ask for one retry."""
        if self._balance < 1:
            self.refused += 1
            return False
        self._balance -= 1
        return True
