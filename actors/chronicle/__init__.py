"""What happens to the actors of a system, kept in its log."""

from .actor import Chronicle, chronicled
from .limits import ChronicleLimits
from .live import LiveActors
from .state import FOLD, ActorState, SystemState

__all__ = [
    "FOLD",
    "ActorState",
    "Chronicle",
    "ChronicleLimits",
    "LiveActors",
    "SystemState",
    "chronicled",
]
