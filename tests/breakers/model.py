"""A breaker written to be obviously right: every record kept, every sum taken anew."""

from fractions import Fraction

from dramaturg.actors.breakers import BreakerConfig


class Model:
    """All times in microseconds, with nothing drawn at random."""

    def __init__(self, config: BreakerConfig) -> None:
        self.config = config
        self.phase = "closed"
        self.generation = 1
        self.until_us: int | None = None
        self.attempt = 0
        self.records: list[tuple[int, bool, bool]] = []
        self.leases: dict[int, int] = {}
        self.probes = 0
        self.good = self.failed = self.slow = 0

    def enter(self, phase: str, until_us: int | None = None) -> None:
        self.phase = phase
        self.generation += 1
        self.until_us = until_us
        self.records = []
        self.good = self.failed = self.slow = 0
        if phase == "closed":
            self.attempt = 0

    def open(self, now_us: int) -> None:
        self.attempt += 1
        config = self.config
        span_s = config.cooldown_s
        for _ in range(self.attempt - 1):
            span_s = min(config.cooldown_max_s, span_s * config.cooldown_factor)
        self.enter("open", now_us + round(span_s * 1e6))

    def admit(self, now_us: int) -> int | None:
        """Return 0 for an ordinary call, a probe's number, None for a refusal."""
        over = self.until_us is not None and now_us >= self.until_us
        if self.phase in {"disabled", "metrics_only"} and over:
            self.enter("closed")
        if self.phase in {"closed", "disabled", "metrics_only"}:
            return 0
        if self.phase in {"open", "forced_open"}:
            if not over or self.full(now_us):
                return None
            self.enter("half_open")
        if self.full(now_us):
            return None
        self.probes += 1
        self.leases[self.probes] = now_us + round(self.config.probe_lease_s * 1e6)
        return self.probes

    def full(self, now_us: int) -> bool:
        """Probes of an earlier stay may still be under way; they count."""
        self.leases = {n: end for n, end in self.leases.items() if end > now_us}
        return len(self.leases) >= self.permitted()

    def permitted(self) -> int:
        config = self.config
        permitted = config.half_open_permitted
        if config.half_open_ramp:
            permitted = min(permitted, 1 + self.good)
        if config.half_open_rule == "rate":
            judged = self.good + self.failed + self.slow
            permitted = min(permitted, config.half_open_successes - judged)
        return permitted

    def settle(
        self,
        generation: int,
        probe: int,
        outcome: str,
        duration_us: int,
        now_us: int,
    ) -> None:
        late = generation != self.generation
        limit_s = self.config.slow_call_s
        slow = limit_s is not None and duration_us > limit_s * 1e6
        if probe:
            if self.leases.pop(probe, None) is not None and not late:
                self.judge_probe(outcome, slow, now_us)
        elif not late and outcome != "neutral" and self.phase != "disabled":
            self.records.append((now_us, outcome == "failure", slow))
            bad = outcome == "failure" or slow
            if self.phase == "closed" and (bad or self.config.evaluate == "every"):
                self.judge_window(now_us)

    def window(self, now_us: int) -> tuple[int, int, int]:
        config, records = self.config, self.records
        if config.window == "consecutive":
            row = 0
            while row < len(records) and records[-1 - row][1]:
                row += 1
            return row, row, 0
        if config.window == "count":
            records = records[-config.window_calls :]
        else:
            width = config.bucket_us
            oldest = now_us // width - config.buckets
            records = [r for r in records if r[0] // width > oldest]
        return len(records), sum(r[1] for r in records), sum(r[2] for r in records)

    def judge_window(self, now_us: int) -> None:
        calls, failures, slows = self.window(now_us)
        config = self.config
        reached = config.failures_max is not None and failures >= config.failures_max
        if config.window != "consecutive" and calls >= config.min_calls:
            reached = reached or self.over(failures, calls, config.failure_rate)
            reached = reached or self.over(slows, calls, config.slow_rate)
        if reached:
            self.open(now_us)

    def over(self, bad: int, calls: int, limit: float | None) -> bool:
        if limit is None:
            return False
        share, most = Fraction(bad, calls), Fraction(str(limit))
        return share >= most if self.config.compare == ">=" else share > most

    def judge_probe(self, outcome: str, slow: bool, now_us: int) -> None:  # noqa: FBT001 - a test
        config = self.config
        if outcome == "failure":
            self.failed += 1
        elif outcome == "success" and slow:
            self.slow += 1
        elif outcome == "success":
            self.good += 1
        judged = self.good + self.failed + self.slow
        if config.half_open_rule == "any":
            if self.failed or (self.slow and config.slow_rate is not None):
                self.open(now_us)
            elif self.good + self.slow >= config.half_open_successes:
                self.enter("closed")
        elif judged >= config.half_open_successes:
            bad = self.over(self.failed, judged, config.failure_rate)
            if bad or self.over(self.slow, judged, config.slow_rate):
                self.open(now_us)
            else:
                self.enter("closed")
