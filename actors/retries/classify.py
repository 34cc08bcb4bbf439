"""What an error means for trying again: its class, and how long to wait at least."""

import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Literal, get_args

import msgspec

from ...events import DramaturgError
from ..breakers.errors import BreakerOpenError

ErrorClass = Literal[
    "breaker_open",
    "connection",
    "timeout",
    "throttled",
    "server",
    "transient",
    "validation",
    "rejected",
    "permanent",
    "unknown",
]
"""Throttled is HTTP 429, server 500, 502, 503 and 504, rejected any other 4xx or 5xx."""
ERROR_CLASSES: tuple[ErrorClass, ...] = get_args(ErrorClass)
SERVER_STATUSES = frozenset((500, 502, 503, 504))
CAUSES_MAX = 8
"""How far down a chain of causes an answer is looked for."""


class TransientError(DramaturgError):
    """Raise it for a failure that may be gone at the next try."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InvalidInputError(DramaturgError):
    """Raise it for input that no try will ever accept; a person has to look at it."""


class PermanentError(DramaturgError):
    """Raise it for a failure that trying again cannot cure."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """An error as it stands in events: plain, and enough to decide on."""

    error_class: ErrorClass
    error: str
    """The exception's class."""
    message: str = ""
    status: int | None = None
    """The HTTP status, if there was one."""
    retry_after_s: float | None = None
    """How long the other side asked to be left alone."""


Predicate = Callable[[BaseException], bool]
Rule = type[BaseException] | tuple[type[BaseException], ...] | Predicate

DEFAULT_RULES: tuple[tuple[ErrorClass, Rule], ...] = (
    ("breaker_open", BreakerOpenError),
    ("transient", TransientError),
    ("validation", (InvalidInputError, msgspec.ValidationError)),
    ("permanent", PermanentError),
    ("timeout", TimeoutError),
    ("connection", ConnectionError),
)
"""Tried in order, after the caller's own rules and before the HTTP status."""


class Classifier:
    """Finds the class of an error.

    `rules` are pairs of a class and exception types or a predicate; the first
    that holds decides, before the defaults. An HTTP status and `Retry-After` are
    found on the exception or its `response`, under the names that common clients
    use. When neither tells, the causes of the error are asked.
    """

    def __init__(
        self,
        *rules: tuple[ErrorClass, Rule],
        message_max: int = 500,
    ) -> None:
        self._rules = (*rules, *DEFAULT_RULES)
        self._message_max = message_max

    def classify(self, error: BaseException, now_us: int | None = None) -> Failure:
        """Tell what `error` is; `now_us` is the wall time, for `Retry-After` dates."""
        status = http_status(error)
        return Failure(
            error_class=self._class_of(error),
            error=type(error).__name__,
            message=str(error)[: self._message_max],
            status=status,
            retry_after_s=retry_after_s(error, now_us),
        )

    def _class_of(self, error: BaseException) -> ErrorClass:
        for link in _chain(error):
            for error_class, rule in self._rules:
                if _holds(rule, link):
                    return error_class
            status = http_status(link)
            if status is not None:
                return class_of_status(status)
        return "unknown"


def class_of_status(status: int) -> ErrorClass:
    """Tell the class of an HTTP status that is an error."""
    if status == 429:
        return "throttled"
    return "server" if status in SERVER_STATUSES else "rejected"


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status (400 and above) that an exception carries, if any."""
    for source in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            value = getattr(source, name, None)
            if isinstance(value, int) and 400 <= value <= 599:
                return int(value)
    return None


def retry_after_s(error: BaseException, now_us: int | None = None) -> float | None:
    """Return the seconds that the other side asked to wait, if it did."""
    for source in (error, getattr(error, "response", None)):
        for name in ("retry_after_s", "retry_after"):
            value = getattr(source, name, None)
            if isinstance(value, int | float) and value >= 0:
                return float(value)
        headers = getattr(source, "headers", None)
        if isinstance(headers, Mapping):
            text = headers.get("Retry-After") or headers.get("retry-after")
            if text is not None:
                return parse_retry_after(str(text), now_us)
    return None


def parse_retry_after(text: str, now_us: int | None = None) -> float | None:
    """Read the header's seconds or date; None if it is neither (RFC 9110, 10.2.3)."""
    if text.strip().isdecimal():
        return float(text)
    try:
        until_s = parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
    now_s = time.time() if now_us is None else now_us / 1e6
    return max(0.0, until_s - now_s)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if link is None:
            return
        yield link
        link = link.__cause__


def _holds(rule: Rule, error: BaseException) -> bool:
    if isinstance(rule, type | tuple):
        return isinstance(error, rule)
    return rule(error)
