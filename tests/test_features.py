"""docs/features.md points at what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = re.findall(
    r"^\| ([A-Z]\d+) \|.*\| (.*) \| (.*?) ?\|$",
    (ROOT / "docs" / "features.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
BUILT = [(row, where, shown) for row, where, shown in ROWS if where != "not yet"]


def test_every_promised_row_is_there_once() -> None:
    ids = [row for row, _, _ in ROWS]

    assert len(ids) == len(set(ids)) == 102


@pytest.mark.parametrize(("row", "where", "shown"), BUILT, ids=[r for r, _, _ in BUILT])
def test_a_built_row_names_a_test_that_is_there(
    row: str, where: str, shown: str
) -> None:
    named = re.findall(r"[\w/]+\.py|tests/\w+/(?=`| |$)", shown)

    assert where, row
    assert named, f"{row} is said to be built and names no test"
    for name in named:
        there = list(ROOT.glob(name)) or list(ROOT.glob(f"tests/**/{Path(name).name}"))
        assert there, f"{row} names {name}, which is not there"
