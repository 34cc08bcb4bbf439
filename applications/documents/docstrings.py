"""The docstrings of a Python module, read from its source and never by importing it."""

import ast
import inspect
from collections.abc import Iterator

from .errors import InvalidDocumentError


def read_docstrings(data: bytes, name: str) -> str:
    """Return the docstrings of a module, its classes and functions, in their order.

    Each but the module's own stands under its qualified name. A module without any
    gives the empty text. Python itself warns of strange escapes in the source, naming
    `name` as the file: the filters of warnings belong to the process, not to us.

    Raises `InvalidDocumentError` for what is not Python.
    """
    try:
        tree = ast.parse(data, filename=name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidDocumentError(
            name, f"is not Python that this interpreter can read: {reason}"
        ) from error
    return "\n\n".join(_docstrings(tree, ""))


def _docstrings(node: ast.AST, qualified: str) -> Iterator[str]:
    if isinstance(
        node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    ):
        docstring = ast.get_docstring(node, clean=False)
        if docstring:
            heading = f"{qualified}\n" if qualified else ""
            yield heading + inspect.cleandoc(docstring).encode(
                "utf-8", "replace"
            ).decode("utf-8")
        for child in node.body:
            inner = getattr(child, "name", "")
            yield from _docstrings(child, f"{qualified}.{inner}".lstrip("."))
