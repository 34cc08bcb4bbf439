"""The decision of a supervisor: a pure function from what happened to a plan."""

from ..errors import UnrecoverableError
from .backoff import Backoff
from .directive import directive_for
from .family import Child, ChildRule, Exited, Failed, Family
from .plan import Plan

_ALONE = ("one_for_one", "dynamic")
"""Strategies under which a failure concerns nobody but the one who failed."""


def decide(family: Family, happened: Failed | Exited) -> Plan:
    """Return what a supervisor does about a child that failed or exited.

    The rules are OTP's `supervisor`: an exit restarts only permanent children, a
    failure restarts all but temporary ones, every restart counts towards the
    intensity, and a group restart stops in reverse order and starts in order.
    `family` is only read; under one_for_one only the failed child is looked at,
    so the cost does not grow with the family.
    """
    child = family.children[happened.child]
    backoff = child.rule.backoff
    if isinstance(happened, Exited):
        if child.rule.restart != "permanent":
            return _ended(family, happened.child, failed=False)
        return _restart(family, child, happened, backoff)
    directive = directive_for(child.rule.directives, happened.error)
    if directive == "resume" and happened.resumable:
        return Plan(
            outcome="resume",
            attempt=child.attempt,
            restarts=family.restarts,
        )
    if directive == "escalate":
        return Plan(
            outcome="escalate",
            stops=_others(family, happened.child),
            restarts=family.restarts,
        )
    if directive == "stop" or child.rule.restart == "temporary":
        return _ended(family, happened.child, failed=True)
    if isinstance(directive, Backoff):
        backoff = directive
    return _restart(family, child, happened, backoff)


def plainly_restarted(rule: ChildRule, error: BaseException) -> bool:
    """Tell whether `decide` would restart a child that failed at once.

    For a family in which a failure concerns nobody else, and unless it had too many
    restarts. It is so for most children, and then there is nothing else to decide.
    """
    return (
        not rule.directives
        and rule.backoff is None
        and rule.restart != "temporary"
        and not isinstance(error, UnrecoverableError)
    )


def _restart(
    family: Family,
    child: Child,
    happened: Failed | Exited,
    backoff: Backoff | None,
) -> Plan:
    """Count the restart; carry it out or give up."""
    restarts = family.intensity.counted(family.restarts, happened.now_s)
    if family.intensity.exceeded(restarts):
        return Plan(
            outcome="escalate",
            stops=_others(family, happened.child),
            restarts=restarts,
        )
    attempt, delay_s = 0, 0.0
    if backoff is not None:
        attempt = backoff.attempt(child.attempt, happened.now_s - child.started_s)
        delay_s = backoff.delay_s(attempt, happened.draw)
    if family.strategy in _ALONE:
        return Plan(
            starts=(happened.child,),
            delay_s=delay_s,
            attempt=attempt,
            restarts=restarts,
        )
    group = _group(family, happened.child)
    children = family.children
    fleeting = [name for name in group if children[name].rule.restart == "temporary"]
    return Plan(
        stops=tuple(
            name
            for name in reversed(group)
            if name != happened.child and not children[name].ended
        ),
        starts=tuple(name for name in group if name not in fleeting),
        forgets=tuple(fleeting),
        delay_s=delay_s,
        attempt=attempt,
        restarts=restarts,
    )


def _ended(family: Family, name: str, *, failed: bool) -> Plan:
    """Let a child go; end the supervisor with it if that is what it is for."""
    rule = family.children[name].rule
    if rule.significant and _shuts_down(family, name):
        return Plan(
            outcome="shut_down",
            stops=_others(family, name),
            restarts=family.restarts,
        )
    keep = not failed and rule.restart == "transient" and family.strategy not in _ALONE
    return Plan(forgets=() if keep else (name,), restarts=family.restarts)


def _shuts_down(family: Family, name: str) -> bool:
    """Tell whether the end of significant child `name` ends the supervisor."""
    if family.auto_shutdown != "all_significant":
        return family.auto_shutdown == "any_significant"
    return not any(
        other != name and child.rule.significant and not child.ended
        for other, child in family.children.items()
    )


def _group(family: Family, name: str) -> list[str]:
    """Return the group restarted with `name`, itself included, in start order."""
    names = list(family.children)
    return names if family.strategy == "one_for_all" else names[names.index(name) :]


def _others(family: Family, name: str) -> tuple[str, ...]:
    """Return all other children that live, in reverse start order."""
    living = [each for each, child in family.children.items() if not child.ended]
    return tuple(each for each in reversed(living) if each != name)
