"""What it means: folds, read models and travel through time."""

from .actors import ActorView, actor_views, systems
from .checkpoints import Checkpoint, Checkpoints
from .errors import (
    BeyondEndError,
    CheckpointsError,
    NoFoldError,
    ProjectionError,
    StreamNotBegunError,
    UnknownStreamError,
)
from .folds import Folds, FoldTakenError, standard_folds
from .overview import OVERVIEW, Overview
from .projection import Projection
from .runner import Runner
from .timeline import StreamState, Timeline

__all__ = [
    "OVERVIEW",
    "ActorView",
    "BeyondEndError",
    "Checkpoint",
    "Checkpoints",
    "CheckpointsError",
    "FoldTakenError",
    "Folds",
    "NoFoldError",
    "Overview",
    "Projection",
    "ProjectionError",
    "Runner",
    "StreamNotBegunError",
    "StreamState",
    "Timeline",
    "UnknownStreamError",
    "actor_views",
    "standard_folds",
    "systems",
]
