"""A log on its way: as lines of JSON out of it and into another, and as a copy."""

from .backup import backup_log
from .exporting import Exported, export_log
from .importing import Imported, ImportRejectedError, import_log

__all__ = [
    "Exported",
    "ImportRejectedError",
    "Imported",
    "backup_log",
    "export_log",
    "import_log",
]
