"""How errors are put on log lines: what, and where, without touching a file."""

from traceback import walk_tb


def described(error: BaseException) -> dict[str, str]:
    """Return the error and the place that raised it.

    A whole traceback would have the loop read source files; those who want it
    subscribe to the system's events, where the exception itself is.
    """
    fault = {"error": repr(error)}
    for frame, line in walk_tb(error.__traceback__):
        code = frame.f_code
        fault["at"] = f"{code.co_filename}:{line} in {code.co_qualname}"
    return fault
