"""Old events in compressed segments, read as if they were in the log's table."""

from .archive import Archive
from .folder import SegmentFolder, folder_of
from .segment import Segment

__all__ = ["Archive", "Segment", "SegmentFolder", "folder_of"]
