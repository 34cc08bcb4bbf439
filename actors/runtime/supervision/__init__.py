"""Who is restarted, with whom, how soon and how often: the policy of supervision."""

from .backoff import Backoff
from .directive import Directive, Directives, directive_for
from .family import Child, ChildRule, Exited, Failed, Family
from .intensity import Intensity
from .plan import Outcome, Plan
from .policy import decide, plainly_restarted
from .strategy import AutoShutdown, Restart, Strategy

__all__ = [
    "AutoShutdown",
    "Backoff",
    "Child",
    "ChildRule",
    "Directive",
    "Directives",
    "Exited",
    "Failed",
    "Family",
    "Intensity",
    "Outcome",
    "Plan",
    "Restart",
    "Strategy",
    "decide",
    "directive_for",
    "plainly_restarted",
]
