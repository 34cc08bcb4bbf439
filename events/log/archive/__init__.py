"""Old events in compressed files beside the log, read as if they were in it."""

from .archive import Archive
from .segment import Segment, folder_of

__all__ = ["Archive", "Segment", "folder_of"]
