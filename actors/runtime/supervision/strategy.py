"""The words of supervision, borrowed from OTP and closed."""

from typing import Literal

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one", "dynamic"]
"""Who is restarted with a child that failed: nobody else, all the others, or those
started after it. `dynamic` is one_for_one for children that come and go."""

Restart = Literal["permanent", "transient", "temporary"]
"""Whether a child that has ended is started again: always, only if it failed, never."""

AutoShutdown = Literal["never", "any_significant", "all_significant"]
"""Whether a supervisor ends by itself once significant children have ended for good."""
