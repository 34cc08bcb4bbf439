"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[
    bool,
    Parameter(name="--json", negative="", help="Print JSON for a program."),
]
Data = Annotated[Path, Parameter(help="The data folder, or a log file.")]
