"""Recorders of the library `eventsourcing` over a log file.

They write the layout of `schema.py`, with the library's opaque states where an
`EventLog` has documents, so that a file of either kind is read and verified by the
same tools. They are for programs that use that library; nothing of ours does.

This is the only package that imports it: the library wraps a function of the standard
library's `dataclasses` for the whole process when it is imported. It is synchronous,
so nothing of it belongs on an event loop.
"""

from .datastore import LogDatastore
from .recorder import (
    LogApplicationRecorder,
    LogProcessRecorder,
    LogTrackingRecorder,
)
from .subscription import LogSubscription

__all__ = [
    "LogApplicationRecorder",
    "LogDatastore",
    "LogProcessRecorder",
    "LogSubscription",
    "LogTrackingRecorder",
]
