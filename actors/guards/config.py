"""What guards the calls to one dependency, as plain settings say it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from ..breakers import BreakerConfig
from ..limits import BulkheadConfig, RateLimitConfig
from ..retries import RetryPolicy
from ..settings import SettingsError, from_plain, require


class GuardConfig(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """Which parts guard a call; those that are None are left out.

    Raises `SettingsError`.
    """

    deadline_s: float | None = None
    """All attempts and waits together take no longer."""
    retry: RetryPolicy | None = None
    rate_limit: RateLimitConfig | None = None
    bulkhead: BulkheadConfig | None = None
    breaker: BreakerConfig | None = None
    timeout_s: float | None = None
    """One call takes no longer; for the breaker that is a failure."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        for name in ("deadline_s", "timeout_s"):
            value = getattr(self, name)
            holds = value is None or value > 0
            require(holds=holds, name=name, value=value, rule="more than 0")
        if self.retry is not None and self.retry.attempt_timeout_s is not None:
            raise SettingsError(
                "retry.attempt_timeout_s would break calls off outside of the breaker, "
                "which would learn nothing of it: set the guard's timeout_s instead",
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "GuardConfig":
        """Build settings from plain data, as from TOML: a table for each part.

        A breaker's table may name a `preset`. Raises `SettingsError`, which names
        the part.
        """
        parts = dict(data)
        readers: dict[str, Any] = {
            "breaker": BreakerConfig.from_dict,
            "retry": RetryPolicy.from_dict,
            "rate_limit": partial(from_plain, RateLimitConfig, what="rate_limit"),
            "bulkhead": partial(from_plain, BulkheadConfig, what="bulkhead"),
        }
        for name, read in readers.items():
            part = parts.get(name)
            if isinstance(part, Mapping):
                parts[name] = read(part)
        built = {name: parts.pop(name) for name in readers if name in parts}
        plain = from_plain(cls, parts, "the guard")
        return msgspec.structs.replace(plain, **_checked(built))


def _checked(built: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse what is no table."""
    for name, part in built.items():
        if not isinstance(part, msgspec.Struct | None):
            raise SettingsError(f"{name} is {part!r}, but must be a table of settings")
    return built
