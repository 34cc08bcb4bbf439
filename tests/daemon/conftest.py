"""Commands run inside the test's process, and leave its logging as it was."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from dramaturg.daemon.cli import run

Run = Callable[..., int]


@contextmanager
def own_logging() -> Generator[None]:
    """Leave logging as it was before commands ran."""
    configuration = structlog.get_config()
    yield
    structlog.configure(**configuration)


@pytest.fixture
def dramaturg() -> Generator[Run]:
    """Run `dramaturg` with the given words and return its exit status."""
    with own_logging():
        yield lambda *words: run([str(word) for word in words])


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Return a folder with three good documents."""
    write_docs(tmp_path / "docs")
    return tmp_path / "docs"


def write_docs(folder: Path) -> None:
    folder.mkdir()
    (folder / "one.txt").write_text("msgspec and anyio; write to ann@example.org\n")
    (folder / "two.md").write_text("# Two\n\nUses `structlog`.\n")
    (folder / "three.html").write_text("<title>Three</title><p>no names</p>")
