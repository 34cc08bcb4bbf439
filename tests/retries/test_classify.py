from types import SimpleNamespace

import pytest

from dramaturg.actors.answers import parse_retry_after
from dramaturg.actors.breakers import BreakerOpenError
from dramaturg.actors.retries import (
    Classifier,
    InvalidInputError,
    PermanentError,
    TransientError,
)
from dramaturg.actors.retries.classify import CAUSES_MAX

CLASSIFIER = Classifier()


class ClientError(Exception):
    """What a client library raises: the answer hangs on it."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.response = SimpleNamespace(status_code=status, headers=headers or {})


class GraphError(RuntimeError):
    pass


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (ConnectionRefusedError(), "connection"),
        (TimeoutError(), "timeout"),
        (TransientError("busy"), "transient"),
        (InvalidInputError("no text"), "validation"),
        (PermanentError("gone"), "permanent"),
        (BreakerOpenError("db", 1.0), "breaker_open"),
        (ValueError("?"), "unknown"),
    ],
)
def test_an_error_has_a_class(error: Exception, error_class: str) -> None:
    assert CLASSIFIER.classify(error).error_class == error_class


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (429, "throttled"),
        *((status, "server") for status in (500, 502, 503, 504)),
        *((status, "rejected") for status in (400, 401, 403, 404, 501)),
    ],
)
def test_an_http_status_decides(status: int, error_class: str) -> None:
    failure = CLASSIFIER.classify(ClientError(status))

    assert (failure.error_class, failure.status) == (error_class, status)


def test_the_status_may_stand_on_the_error_itself() -> None:
    error = OSError("unavailable")
    setattr(error, "status", 503)  # noqa: B010 - a checker would refuse it

    assert CLASSIFIER.classify(error).error_class == "server"


def test_numbers_that_are_no_http_error_are_passed_by() -> None:
    error = OSError("odd")
    setattr(error, "code", 7)  # noqa: B010 - a checker would refuse it

    assert CLASSIFIER.classify(error).error_class == "unknown"


def test_own_rules_come_first() -> None:
    classifier = Classifier(
        ("transient", GraphError),
        ("validation", lambda error: "bad" in str(error)),
    )

    assert classifier.classify(GraphError("bad")).error_class == "transient"
    assert classifier.classify(TimeoutError("bad")).error_class == "validation"
    assert classifier.classify(TimeoutError("slow")).error_class == "timeout"


def test_the_cause_is_asked_when_the_error_does_not_tell() -> None:
    error = GraphError("wrapped")
    error.__cause__ = ConnectionResetError()

    assert CLASSIFIER.classify(error).error_class == "connection"


def test_a_chain_of_causes_is_followed_only_so_far() -> None:
    error: Exception = ConnectionResetError()
    for _ in range(CAUSES_MAX):
        outer = GraphError("wrapped")
        outer.__cause__ = error
        error = outer

    assert CLASSIFIER.classify(error).error_class == "unknown"


def test_what_the_other_side_asks_for_is_read_from_its_answer() -> None:
    error = ClientError(503, {"Retry-After": "120"})

    assert CLASSIFIER.classify(error).retry_after_s == 120.0
    assert CLASSIFIER.classify(TransientError("", retry_after_s=3)).retry_after_s == 3.0
    assert CLASSIFIER.classify(BreakerOpenError("db", 7)).retry_after_s == 7.0
    assert CLASSIFIER.classify(ClientError(503)).retry_after_s is None


def test_headers_that_are_no_mapping_are_passed_by() -> None:
    error = OSError("odd")
    setattr(error, "headers", "Retry-After: 5")  # noqa: B010 - a checker would refuse it

    assert CLASSIFIER.classify(error).retry_after_s is None


def test_a_date_is_counted_from_now_and_never_lies_in_the_past() -> None:
    date = "Thu, 01 Jan 1970 00:01:40 GMT"

    assert parse_retry_after(date, now_us=40_000_000) == 60.0
    assert parse_retry_after(date, now_us=400_000_000) == 0.0
    assert parse_retry_after(date) == 0.0
    assert parse_retry_after("soon") is None


def test_a_long_message_is_cut() -> None:
    failure = Classifier(message_max=5).classify(ValueError("far too long"))

    assert (failure.error, failure.message) == ("ValueError", "far t")
