"""How much a chronicle writes at most."""

import msgspec


class ChronicleLimits(msgspec.Struct, frozen=True):
    """The bounds of what is written about a system's actors."""

    interval_s: float = 10.0
    """Time between two censuses; an idle system writes none."""
    first_s: float = 1.0
    """How soon after the start the first census is taken."""
    actors_max: int = 500
    """Actors in a census, those nearest the root first; the others are counted."""
    told_max: int = 50
    """Failures and restarts written between two censuses; the others are counted."""

    def __post_init__(self) -> None:
        """Refuse limits that mean nothing."""
        for name in ("interval_s", "first_s", "actors_max", "told_max"):
            value = getattr(self, name)
            if value <= 0:
                message = f"{name}={value}: take more than 0"
                raise ValueError(message)
