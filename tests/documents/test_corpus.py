"""What is ingested, and what is said when there is nothing."""

import os
from pathlib import Path

import msgspec
import pytest

from dramaturg.applications.documents import corpus
from dramaturg.applications.documents.corpus import (
    Corpus,
    Source,
    from_paths,
    installed,
    normalise,
    required_name,
)
from dramaturg.applications.documents.errors import CorpusError

from .making import METADATA


def install(site: Path, name: str, version: str, files: dict[str, str]) -> None:
    info = f"{name}-{version}.dist-info"
    site.mkdir(exist_ok=True)
    contents = {
        f"{info}/METADATA": f"Name: {name}\nVersion: {version}\n",
        **{path.replace("INFO", info): text for path, text in files.items()},
    }
    for path, text in contents.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    record = "".join(f"{path},,\n" for path in [*contents, "../../../bin/snail"])
    (site / info / "RECORD").write_text(record)


def keys(found: Corpus) -> list[str]:
    return [source.key for source in found.sources]


def test_a_distribution_gives_its_metadata_licences_readme_and_docstrings(
    tmp_path: Path,
) -> None:
    files = {
        "INFO/licenses/COPYING.mit": "MIT License",
        "INFO/METADATA": METADATA,
        "snail/__init__.py": '"""Letters."""',
        "snail/quiet.py": "x = 1",
        "snail/README": "Read me",
        "snail/empty.md": "",
        "snail/data.json": "{}",
        "snail/readme.py": "x = 2",
        "snail/notice.json": "{}",
    }
    install(tmp_path, "Snail_Mail", "1.2.3", files)

    found = installed([str(tmp_path)])

    assert keys(found) == [
        "distribution:snail-mail/METADATA",
        "distribution:snail-mail/licenses/COPYING.mit",
        "distribution:snail-mail/snail/README",
        "distribution:snail-mail/snail/__init__.py",
    ]
    assert [source.kind for source in found.sources] == [
        "metadata",
        "text",
        "text",
        "docstrings",
    ]
    assert {source.distribution for source in found.sources} == {"snail-mail"}
    assert found.names == ("anyio", "msgspec", "rich", "snail-mail")


def test_an_upgrade_is_a_new_submission_of_the_same_document(tmp_path: Path) -> None:
    install(tmp_path / "old", "snail", "1", {})
    install(tmp_path / "new", "snail", "2", {})

    (old,) = installed([str(tmp_path / "old")]).sources
    (new,) = installed([str(tmp_path / "new")]).sources

    assert old.key == new.key
    assert old.submission != new.submission


def test_the_first_of_two_distributions_with_one_name_counts(tmp_path: Path) -> None:
    install(tmp_path / "first", "snail", "1", {})
    install(tmp_path / "second", "Snail", "2", {})

    found = installed([str(tmp_path / "first"), str(tmp_path / "second")])

    assert [source.fingerprint for source in found.sources] == ["1"]


def test_a_listed_file_that_is_gone_is_no_item(tmp_path: Path) -> None:
    install(tmp_path, "snail", "1", {"snail/a.py": '"""x"""', "snail/LICENSE": "MIT"})
    (tmp_path / "snail/a.py").unlink()
    (tmp_path / "snail/LICENSE").unlink()

    assert keys(installed([str(tmp_path)])) == ["distribution:snail/METADATA"]


def test_a_half_removed_distribution_is_passed_over(tmp_path: Path) -> None:
    install(tmp_path, "snail", "1", {})
    (tmp_path / "gone-1.dist-info").mkdir()

    assert len(installed([str(tmp_path)]).sources) == 1


def test_the_running_environment_is_a_corpus() -> None:
    found = installed()

    assert "distribution:msgspec/METADATA" in keys(found)
    assert "msgspec" in found.names
    assert all(Path(source.path).is_absolute() for source in found.sources)


def test_no_distribution_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no distribution is installed"):
        installed([str(tmp_path)])


def test_a_folder_gives_the_documents_in_it(tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    for name in (
        "b.txt",
        "a.MD",
        "deep/er/c.pdf",
        "d.exe",
        ".hidden.txt",
        ".git/e.txt",
    ):
        (tmp_path / name).write_text("x")

    found = from_paths([tmp_path])

    assert [source.title for source in found.sources] == ["a.MD", "b.txt", "c.pdf"]
    assert found.skipped == 1
    assert "msgspec" in found.names


def test_a_document_that_is_named_twice_is_one_item(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")

    assert keys(from_paths([tmp_path, path])) == [f"file:{path}"]


def test_a_changed_file_is_a_new_submission(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    (before,) = from_paths([path]).sources
    os.utime(path, ns=(1, 1))

    (after,) = from_paths([path]).sources

    assert before.key == after.key
    assert before.submission != after.submission


def test_a_dangling_link_is_an_item_that_will_fail(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to(tmp_path / "nowhere")

    (found,) = from_paths([tmp_path]).sources

    assert found.fingerprint == "unreadable"


def test_a_file_that_may_be_read_at_last_is_a_new_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("x")

    def never(*_: object) -> bool:
        return False

    with monkeypatch.context() as refused:
        refused.setattr(os, "access", never)
        (before,) = from_paths([tmp_path]).sources

    (after,) = from_paths([tmp_path]).sources

    assert before.fingerprint == "unreadable"
    assert before.submission != after.submission


def test_a_path_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not there"):
        from_paths([tmp_path / "nothing.txt"])


def test_a_single_file_of_another_kind_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").touch()
    with pytest.raises(CorpusError, match="is no txt, md"):
        from_paths([tmp_path / "song.mp3"])


def test_a_folder_without_documents_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_text("x")

    with pytest.raises(CorpusError, match="no document in"):
        from_paths([tmp_path])


def test_an_unreadable_folder_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)

    with pytest.raises(CorpusError, match="cannot be read \\(Permission denied\\)"):
        from_paths([tmp_path])


def test_too_many_documents_are_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "SOURCES_MAX", 1)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("x")

    with pytest.raises(CorpusError, match="more than 1"):
        from_paths([tmp_path])


def test_names_have_one_spelling() -> None:
    assert normalise("Ruamel.YAML__x") == "ruamel-yaml-x"
    assert required_name(" Foo.Bar[extra]>=1; python_version<'3'") == "foo-bar"
    assert required_name("???") == ""


@pytest.mark.parametrize("name", [b"plain.txt", b"\xff\xfe%41.txt", b"new\nline.txt"])
def test_a_file_of_any_name_is_written_down_and_found_again(
    tmp_path: Path, name: bytes
) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("text")

    (source,) = from_paths([tmp_path]).sources

    again = msgspec.json.decode(msgspec.json.encode(source), type=Source)
    assert again == source
    assert os.fsencode(again.file.name) == name
    assert again.file.read_text() == "text"
