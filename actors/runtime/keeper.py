"""The supervision of one family: carries out on cells what the policy decides."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ...events.log import LogUnavailableError
from . import lifecycle
from .errors import ActorStoppedError, IntensityExceededError
from .members import Members
from .replacement import replaced
from .spec import SupervisorSpec
from .supervision import Exited, Failed, Family, Plan, decide, plainly_restarted

if TYPE_CHECKING:
    from .cell import Cell
    from .children import Children
    from .clock import Alarm


_PLAIN: Final = SupervisorSpec(id="plain")
"""How an actor that has children without being a supervisor supervises them."""

_ALONE: Final = frozenset({"one_for_one", "dynamic"})
"""Strategies under which a failure concerns nobody but the one who failed."""

Happened = tuple[Plan, "Cell", BaseException | None]
"""What is to be done, about whom, and what that one failed of."""


class Supervision:
    """Hears of each child that failed or ended by itself, in a turn of its own.

    What concerns one child alone is done at once, beside all else. What concerns a
    group is done one thing after the other (`_work`), as in OTP, where a supervisor
    that stops and starts children hears of further failures only afterwards. While
    the parent itself is not up, what happens waits.
    """

    __slots__ = (
        "_alarms",
        "_attempts",
        "_children",
        "_down",
        "_ended",
        "_happened",
        "_intensity",
        "_restarts",
        "_rule",
        "_working",
    )

    def __init__(self, children: "Children") -> None:
        spec = children.parent.spec
        self._rule = spec if isinstance(spec, SupervisorSpec) else _PLAIN
        self._intensity = self._rule.intensity
        self._children = children
        self._happened: deque[tuple[Cell, BaseException | None]] = deque()
        self._working = False
        self._restarts: tuple[float, ...] = ()
        self._attempts: dict[str, int] = {}
        self._alarms: dict[str, Alarm] = {}
        """Who is backing off."""
        self._ended: set[str] = set()
        """Who has exited and is started again only with its group."""
        self._down: set[str] = set()
        """Who was stopped with its group and is still to be started again."""

    # What happens

    def failed(self, child: "Cell", error: BaseException) -> None:
        """Decide about a child in state `failed`; its mailbox is kept meanwhile."""
        if not self._plainly_restarted(child, error):
            self._happened.append((child, error))
            self.attend()

    def _plainly_restarted(self, child: "Cell", error: BaseException) -> bool:
        """Restart a child as most are; tell whether that was all there is to do.

        This is what `attend` would come to, without the detours.
        """
        if (
            self._working
            or self._happened
            or self._rule.strategy not in _ALONE
            or isinstance(error, LogUnavailableError)
            or not plainly_restarted(child.spec, error)
            or not self._up
        ):
            return False
        intensity = self._intensity
        restarts = intensity.counted(self._restarts, child.pump.now_s())
        if intensity.exceeded(restarts) or not replaced(child):
            return False
        self._restarts = restarts
        return True

    def exited(self, child: "Cell") -> None:
        """Decide about a child that wants to end; it works off nothing meanwhile."""
        child.hold()
        self._happened.append((child, None))
        self.attend()

    def attend(self) -> None:
        """Deal with what has happened, if the parent is up and nobody is at it."""
        if self._working or not self._up:
            return
        rest: Happened | None = None
        while self._happened and rest is None:
            happened = self._planned(*self._happened.popleft())
            if happened is not None and not self._at_once(*happened[:2]):
                rest = happened
        if rest is not None or (self._down and not self._alarms):
            self._working = True
            lifecycle.go(self._children.parent, self._work(rest))

    def forget(self, name: str) -> None:
        """Think no more of a child that is gone."""
        self._attempts.pop(name, None)
        self._ended.discard(name)
        self._down.discard(name)
        alarm = self._alarms.pop(name, None)
        if alarm is not None:
            alarm.cancel()

    def keeps(self, name: str) -> bool:
        """Tell whether a stopped child will be started again with its group."""
        return name in self._ended

    @property
    def unordered(self) -> bool:
        """Whether no child stands on another."""
        return self._rule.strategy == "dynamic"

    def close(self) -> None:
        """Begin anew: all children are gone."""
        self._happened.clear()
        for name in (*self._attempts, *self._alarms, *self._ended, *self._down):
            self.forget(name)
        self._restarts = ()

    async def _work(self, happened: "Happened | None") -> None:
        try:
            while self._up:
                if happened is not None:
                    await self._deal(*happened)
                elif not self._happened and not await self._next_of_group():
                    break
                happened = None
                if self._happened:
                    happened = self._planned(*self._happened.popleft())
        finally:
            self._working = False

    async def _next_of_group(self) -> bool:
        """Start who is down; tell whether there was somebody to start."""
        return bool(self._down and not self._alarms and await self._start_down())

    @property
    def _up(self) -> bool:
        return self._children.parent.state == "running"

    # What is done about it

    def _planned(
        self,
        child: "Cell",
        error: BaseException | None,
    ) -> "Happened | None":
        """Decide about a child, unless that is no longer the question."""
        name = child.spec.id
        if self._children.cells.get(name) is not child or child.stopped:
            return None
        if error is not None and (child.state != "failed" or child.error is not error):
            return None  # it was restarted with its group meanwhile
        if isinstance(error, LogUnavailableError):
            lifecycle.go(child, lifecycle.restart(child, error))  # not its fault
            return None
        plan = self._decide(child, error)
        self._restarts = plan.restarts
        if plan.attempt:
            self._attempts[name] = plan.attempt
        return plan, child, error

    def _at_once(
        self,
        plan: Plan,
        child: "Cell",
    ) -> bool:
        """Restart a child alone where that takes no time; tell whether that was it."""
        return (
            plan.outcome == "carry_on"
            and not plan.delay_s
            and self._rule.strategy in _ALONE
            and child.spec.id in plan.starts
            and replaced(child)
        )

    async def _deal(
        self,
        plan: Plan,
        child: "Cell",
        error: BaseException | None,
    ) -> None:
        match plan.outcome:
            case "carry_on":
                await self._carry_out(plan, child, error)
            case "resume":
                child.state = "running"
                child.open()
            case "escalate":
                self._give_up(child, error, plan)
            case "shut_down":
                await lifecycle.stop(child, error)
                parent = self._children.parent
                parent.supervision.exited(parent)

    def _decide(self, child: "Cell", error: BaseException | None) -> Plan:
        rule = self._rule
        members = Members(self._children.cells, self._attempts, self._ended)
        family = Family(
            rule.strategy,
            self._intensity,
            rule.auto_shutdown,
            members,
            self._restarts,
        )
        draw = child.pump.system.random.random()
        now_s = child.pump.now_s()
        if error is None:
            return decide(family, Exited(child.spec.id, now_s, draw))
        return decide(
            family,
            Failed(child.spec.id, error, now_s, draw, _resumable(child)),
        )

    async def _carry_out(
        self,
        plan: Plan,
        child: "Cell",
        error: BaseException | None,
    ) -> None:
        name = child.spec.id
        if name not in plan.starts:
            if name not in plan.forgets:
                self._ended.add(name)
            lifecycle.go(child, lifecycle.stop(child, error))
        elif self._rule.strategy in _ALONE:
            lifecycle.go(child, self._restart(child, error, plan.delay_s))
        else:
            await self._regroup(plan, child, error)

    async def _restart(
        self,
        child: "Cell",
        error: BaseException | None,
        delay_s: float,
    ) -> None:
        """Restart one child alone."""
        await lifecycle.halt(child, error)
        if child.stopped:
            return
        if delay_s:
            self._arm(child, delay_s, lambda: self._revive(child))
        else:
            await lifecycle.revive(child)

    def _revive(self, child: "Cell") -> None:
        if child.state == "backing_off":
            lifecycle.go(child, lifecycle.revive(child))

    def _arm(self, child: "Cell", delay_s: float, call: Callable[[], None]) -> None:
        """Leave `child` down for `delay_s`."""
        name = child.spec.id
        child.state = "backing_off"

        def due() -> None:
            self._alarms.pop(name, None)
            call()

        self._alarms[name] = child.pump.clock.call_later(delay_s, due)

    async def _regroup(
        self,
        plan: Plan,
        child: "Cell",
        error: BaseException | None,
    ) -> None:
        """Stop a group in reverse order and have it started again in order."""
        for alarm in self._alarms.values():
            alarm.cancel()  # the new group holds all that was to be started then
        self._alarms.clear()
        self._down.update(plan.starts)
        await lifecycle.halt(child, error)
        for name in plan.stops:
            cell = self._children.cells.get(name)
            if cell is None or not self._up:
                continue
            if name in plan.forgets:
                await lifecycle.stop(cell, None)
            else:
                await lifecycle.halt(cell, None)
        if plan.delay_s and self._up and not child.stopped:
            self._arm(child, plan.delay_s, self.attend)

    async def _start_down(self) -> bool:
        """Start who is down, in order; tell whether there is nobody to wait for."""
        cells = self._children.cells
        for name in [each for each in cells if each in self._down]:
            if self._happened or not self._up:
                break
            self._down.discard(name)
            cell = cells.get(name)
            if cell is None:
                continue
            if name in self._ended:
                self._ended.discard(name)
                cell = self._children.renew(cell)
            if not await lifecycle.revive(cell) and cell.state == "failed":
                return False  # it is going to be heard of
        return True

    def _give_up(
        self,
        child: "Cell",
        error: BaseException | None,
        plan: Plan,
    ) -> None:
        """Fail the parent, which stops all children when it goes down."""
        parent, rule = self._children.parent, self._rule
        cause = error or ActorStoppedError(child.path)
        if rule.intensity.exceeded(plan.restarts):
            limits = (rule.restarts_max, rule.within_s)
            reason: BaseException = IntensityExceededError(
                parent.path, child.spec.id, cause, limits
            )
            reason.__cause__ = cause
        else:
            reason = cause
        parent.fail(reason)


def _resumable(child: "Cell") -> bool:
    """Tell whether `child` can go on as it is, with all its children."""
    if child.journal is not None or child.actor is None:
        return False
    cells = () if child.children is None else child.children.cells.values()
    return all(cell.state != "failed" for cell in cells)
