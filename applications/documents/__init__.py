"""Documents become a graph, an index and manifests, whatever fails on the way."""

from .assembly import open_documents
from .chaos import ChaosGraph, ChaosRateError
from .corpus import Corpus, Source, from_paths, installed
from .errors import (
    CorpusError,
    DocumentError,
    GraphError,
    GraphUnavailableError,
    InvalidDocumentError,
    VerificationError,
)
from .graph_connection import Rows
from .index import Hit, TextIndex, open_index
from .job import DocumentJob, Failed, Progress, Summary
from .manifest import Manifest, Manifests
from .questions import QUESTIONS, GraphReader, Question, open_for_questions
from .settings import DocumentSettings, Layout

__all__ = [
    "QUESTIONS",
    "ChaosGraph",
    "ChaosRateError",
    "Corpus",
    "CorpusError",
    "DocumentError",
    "DocumentJob",
    "DocumentSettings",
    "Failed",
    "GraphError",
    "GraphReader",
    "GraphUnavailableError",
    "Hit",
    "InvalidDocumentError",
    "Layout",
    "Manifest",
    "Manifests",
    "Progress",
    "Question",
    "Rows",
    "Source",
    "Summary",
    "TextIndex",
    "VerificationError",
    "from_paths",
    "installed",
    "open_documents",
    "open_for_questions",
    "open_index",
]
