"""References that stand for several actors and choose among them."""

from .ring import Ring

__all__ = ["Ring"]
