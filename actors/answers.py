"""What the other side said in its error: an HTTP status, how long to wait."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import cast


def http_status(answer: object) -> int | None:
    """Return the HTTP status (400 and above) of a response, or that an error carries."""
    for source in (answer, getattr(answer, "response", None)):
        for name in ("status_code", "status", "code"):
            value = getattr(source, name, None)
            if isinstance(value, int) and 400 <= value <= 599:
                return int(value)
    return None


def retry_after_s(answer: object, now_us: int | None = None) -> float | None:
    """Return the seconds that the other side asked to wait, if it did."""
    for source in (answer, getattr(answer, "response", None)):
        for name in ("retry_after_s", "retry_after"):
            value = getattr(source, name, None)
            if isinstance(value, int | float) and value >= 0:
                return float(value)
        text = _header(getattr(source, "headers", None))
        if text:
            return parse_retry_after(text, now_us)
    return None


def _header(headers: object) -> str:
    """Return the header's text; not every mapping of headers ignores case."""
    if not isinstance(headers, Mapping):
        return ""
    known = cast("Mapping[str, object]", headers)
    return str(known.get("Retry-After") or known.get("retry-after") or "")


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
