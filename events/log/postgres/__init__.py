"""The log in PostgreSQL, for more than one node; import it where it is needed."""

from .errors import NotOwnerError, OwnershipLostError
from .log import LEASE_S, PostgresLog
from .reader import PostgresReader

__all__ = [
    "LEASE_S",
    "NotOwnerError",
    "OwnershipLostError",
    "PostgresLog",
    "PostgresReader",
]
