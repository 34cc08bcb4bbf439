"""What happened to the entries of a queue since its actor started."""

import msgspec


class Counts(msgspec.Struct):
    """What happened since the actor started."""

    parked: int = 0
    returned: int = 0
    evicted: int = 0
    expired: int = 0
    discarded: int = 0
    resolved: int = 0
