"""Pipelines: items that go through stages, durably, one event-sourced life each."""

from .crew import Crew
from .errors import (
    AttemptTimeoutError,
    DeclarationError,
    ItemNotOpenError,
    ItemStateError,
    NoSuchStageError,
    PipelineError,
    PipelineFullError,
    ResultTooLargeError,
)
from .item import ENDS, FOLD, Item, Place
from .messages import Figures, StageFigures, Submitted
from .pipeline import Compensation, Guard, Pipeline, Stage, StageFunction
from .running import RunningPipeline
from .tree import pipeline_spec, start_pipeline
from .work import Work

__all__ = [
    "ENDS",
    "FOLD",
    "AttemptTimeoutError",
    "Compensation",
    "Crew",
    "DeclarationError",
    "Figures",
    "Guard",
    "Item",
    "ItemNotOpenError",
    "ItemStateError",
    "NoSuchStageError",
    "Pipeline",
    "PipelineError",
    "PipelineFullError",
    "Place",
    "ResultTooLargeError",
    "RunningPipeline",
    "Stage",
    "StageFigures",
    "StageFunction",
    "Submitted",
    "Work",
    "pipeline_spec",
    "start_pipeline",
]
