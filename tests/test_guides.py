"""Every snippet of the guides runs, and prints what the guide says it prints.

The Python blocks of a guide run one after the other in one namespace, as in a
notebook, with `await` at the top level. A block named `output` holds what the
block before it prints, a block named `console` commands and what they print; `...`
stands for anything. Any other block whose first line is a comment with a file's
name is that file.
"""

import ast
import asyncio
import re
import shlex
from collections.abc import Callable
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from inspect import CO_COROUTINE
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import structlog

from dramaturg.daemon.cli import run

GUIDES = sorted((Path(__file__).parent.parent / "docs" / "guide").glob("*.md"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w.-]+)\n")
LIKE = ELLIPSIS | NORMALIZE_WHITESPACE


class Notebook:
    """Runs the blocks of one guide."""

    def __init__(self, printed: Callable[[], str]) -> None:
        self.printed = printed
        self.said = ""
        """What the last block printed."""
        self.names: dict[str, Any] = {"__name__": "guide"}

    def go_through(self, guide: str) -> None:
        with asyncio.Runner() as runner:
            for kind, text in FENCE.findall(guide):
                match kind:
                    case "python":
                        self.execute(text, runner)
                    case "console":
                        self.command(text)
                    case "output":
                        self.compare(text, self.said)
                    case _:
                        self.keep(text)

    def execute(self, text: str, runner: asyncio.Runner) -> None:
        """Run a block; its imports are not for the event loop, since they read files."""
        tree = ast.parse(text)
        imports: list[ast.stmt] = []
        others: list[ast.stmt] = []
        for node in tree.body:
            first = isinstance(node, ast.Import | ast.ImportFrom)
            (imports if first else others).append(node)
        for body in (imports, others):
            module = ast.Module(body, type_ignores=[])
            code = compile(module, "guide", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if code.co_flags & CO_COROUTINE:
                runner.run(FunctionType(code, self.names)())
            else:
                exec(code, self.names)  # noqa: S102 - that is the test
        self.said = self.printed()

    def command(self, text: str) -> None:
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            line, _, expected = part.partition("\n")
            program, *words = shlex.split(line)
            assert program == "dramaturg"
            run(words)
            self.said = self.printed()
            self.compare(expected, self.said)

    def keep(self, text: str) -> None:
        named = FILE.match(text)
        if named is not None:
            Path(named[1]).write_text(text, encoding="utf-8")

    @staticmethod
    def compare(expected: str, said: str) -> None:
        said = "".join(f"{line.rstrip()}\n" for line in said.splitlines())
        assert OutputChecker().check_output(expected, said, LIKE), (
            f"the guide says\n{expected}\nand it prints\n{said}"
        )


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_snippet_of_a_guide_does_what_the_guide_says(
    guide: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    configuration = structlog.get_config()

    def printed() -> str:
        captured = capsys.readouterr()
        return captured.out + captured.err

    try:
        Notebook(printed).go_through(guide.read_text(encoding="utf-8"))
    finally:
        structlog.configure(**configuration)


def test_a_snippet_that_prints_something_else_is_found() -> None:
    said = iter(["4\n"])

    with pytest.raises(AssertionError, match="it prints"):
        Notebook(lambda: next(said)).go_through(
            "```python\nprint(2 + 2)\n```\n\n```output\n5\n```\n"
        )
