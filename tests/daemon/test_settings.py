from pathlib import Path

import pytest

from dramaturg.daemon.errors import UsageError
from dramaturg.daemon.settings import Settings, load_settings
from dramaturg.events.log.archive.retention import RetentionPolicy
from dramaturg.events.log.sealer import SealPolicy


def test_without_a_file_and_variables_the_defaults_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert load_settings({}) == Settings()


def test_the_file_of_the_current_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dramaturg.toml").write_text("[documents]\nconcurrency = 3\n")

    assert load_settings({}).documents.concurrency == 3


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("[documents]\nconcurrency = 3\nsize_bytes_max = 9\n")

    settings = load_settings({"DRAMATURG_DOCUMENTS_CONCURRENCY": "4"}, file)

    assert settings.documents.concurrency == 4
    assert settings.documents.size_bytes_max == 9


def test_how_often_the_log_is_sealed_can_be_set(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("[log]\nseal_events_max = 7\n")

    settings = load_settings({"DRAMATURG_LOG_SEAL_WITHIN_S": "1.5"}, file)

    assert settings.log.seals == SealPolicy(7, 1.5)


def test_nothing_is_archived_unless_that_is_set(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("[log]\narchive_older_than_s = 2592000\n")

    assert load_settings({}, file).log.retention == RetentionPolicy(2592000.0)
    every = {"DRAMATURG_LOG_ARCHIVE_EVERY_S": "60"}
    assert load_settings(every, file).log.retention == RetentionPolicy(2592000.0, 60.0)
    assert Settings().log.retention is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[log]\narchive_older_than_s = -1\n", "older_than_s of at least 0"),
        ("[log]\narchive_every_s = 0\narchive_older_than_s = 1\n", "every_s above 0"),
        ("[log]\nseal_events_max = 0\n", "events_max of at least 1"),
        ("[documents]\nconcurency = 3\n", "concurency"),
        ("[documents]\nconcurrency = 0\n", "at least 1"),
        ("[documents]\nconcurrency = 'many'\n", "concurrency"),
        ("documents = 3\n", "documents"),
        ("[documents\n", "own.toml"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)

    with pytest.raises(UsageError, match=message):
        load_settings({}, file)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no settings file .*gone.toml"):
        load_settings({}, tmp_path / "gone.toml")
