"""What can go wrong with documents, a class per situation."""

from ...actors.retries import InvalidInputError, TransientError
from ...events import DramaturgError


class DocumentError(DramaturgError):
    """The root of the document pipeline's errors."""


class CorpusError(DocumentError):
    """There is nothing to ingest, or a folder cannot be read."""


class InvalidDocumentError(DocumentError, InvalidInputError):
    """The document itself is at fault: trying it again will not help.

    `name` is what its reader calls the document, `reason` a clause that says what is
    the matter with it.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class GraphError(DocumentError):
    """The graph refused a statement: the statement or the data is wrong."""


class GraphUnavailableError(DocumentError, TransientError):
    """The graph does not answer now; trying again later may help."""

    def __init__(self, message: str) -> None:
        TransientError.__init__(self, message)


class VerificationError(DocumentError, TransientError):
    """What is read back is not what was written."""

    def __init__(self, message: str) -> None:
        TransientError.__init__(self, message)
