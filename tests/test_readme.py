"""The README's example does what the README says."""

import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_killed_example_goes_on_where_it_was(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    (tmp_path / "visits.py").write_text(found[1], encoding="utf-8")

    runs = [
        subprocess.run(
            [sys.executable, "visits.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(3)
    ]

    assert [run.stdout for run in runs] == [
        "visit number 1\n",
        "visit number 2\n",
        "visit number 3\n",
    ]
    assert {run.returncode for run in runs} == {-signal.SIGKILL}
