"""What can be set, from a TOML file and the environment.

A value is looked for in the environment first (`DRAMATURG_DOCUMENTS_CONCURRENCY`
for `concurrency` in the table `[documents]`), then in the file, then here.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..applications.documents.settings import DocumentSettings
from ..events.log.archive.retention import RetentionPolicy
from ..events.log.sealer import SEALS, SealPolicy
from .errors import UsageError

FILE_NAME = "dramaturg.toml"
PREFIX = "DRAMATURG_"


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the log is kept."""

    seal_events_max: int = SEALS.events_max
    """It is sealed after so many events,"""
    seal_within_s: float = SEALS.within_s
    """and so many seconds after any event."""
    encrypted: bool = False
    """Payloads that have an owner are encrypted; once they are, they always are."""

    archive_older_than_s: float = 0.0
    """What ended so long ago is archived by itself; 0: nothing is."""
    archive_every_s: float = 3600.0
    """How often that is looked for."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, with a `ValueError`."""
        self.seals  # noqa: B018 - it is checked when it is made
        self.retention  # noqa: B018 - likewise

    @property
    def seals(self) -> SealPolicy:
        """When the log is sealed."""
        return SealPolicy(self.seal_events_max, self.seal_within_s)

    @property
    def retention(self) -> RetentionPolicy | None:
        """What the log archives by itself."""
        if not self.archive_older_than_s:
            return None
        return RetentionPolicy(self.archive_older_than_s, self.archive_every_s)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a file or the environment can set."""

    documents: DocumentSettings = DocumentSettings()
    log: LogSettings = LogSettings()


def load_settings(
    environment: Mapping[str, str],
    file: Path | None = None,
) -> Settings:
    """Read the settings; `file` defaults to `dramaturg.toml` here, if there is one.

    Raises `UsageError` naming the file or variable whose value cannot be used.
    """
    table = _read(file or Path(FILE_NAME), needed=file is not None)
    for field in msgspec.structs.fields(Settings):
        _overlay(table, field.name, field.type, environment)
    try:
        return msgspec.convert(table, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"the settings cannot be used: {error}; correct {FILE_NAME} or the "
            f"variable {PREFIX}...",
        ) from error


def _read(file: Path, *, needed: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if not needed:
            return {}
        raise UsageError(f"there is no settings file {file}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the settings file {file} cannot be read: {error}") from error


def _overlay(
    table: dict[str, Any],
    name: str,
    kind: type[msgspec.Struct],
    environment: Mapping[str, str],
) -> None:
    for field in msgspec.structs.fields(kind):
        value = environment.get(f"{PREFIX}{name}_{field.name}".upper())
        section: object = table.setdefault(name, {})
        if value is not None and isinstance(section, dict):
            section[field.name] = value
