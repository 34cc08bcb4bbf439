"""The examples of docs/guide/testing.md run as they stand."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dramaturg.testing import SeededLoop

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "testing.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def page() -> Iterator[dict[str, Any]]:
    """Run the page from top to bottom, as one module; return its names."""
    module = ModuleType("guide_to_testing")
    sys.modules[module.__name__] = module  # annotations are looked up in it
    for snippet in SNIPPETS:
        exec(compile(snippet, str(GUIDE), "exec"), vars(module))  # noqa: S102
    yield vars(module)
    del sys.modules[module.__name__]


@pytest.mark.parametrize(
    "name", re.findall(r"^def (test_\w+)", "".join(SNIPPETS), re.MULTILINE)
)
def test_an_example_holds(page: dict[str, Any], name: str) -> None:
    page[name]()


def test_the_loop_factory_makes_seeded_loops(page: dict[str, Any]) -> None:
    factories: dict[str, Callable[[], object]] = page["pytest_asyncio_loop_factories"]()

    assert isinstance(factories["seeded"](), SeededLoop)
