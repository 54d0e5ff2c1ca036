"""Files and functions stay small enough to be read at one sitting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import transfuse

PACKAGE = Path(transfuse.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 60


def long_functions(text: str) -> list[str]:
    """`NAME (LINES)` of every function that is too long, decorators left out."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            found += [f"{node.name} ({lines})"] if lines > MOST_LINES_OF_A_FUNCTION else []
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_keep_their_limits(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert long_functions(text) == []


def test_the_rule_tells_long_from_short() -> None:
    body = "    x = 1\n" * 59
    assert long_functions(f"def short():\n{body}") == []
    assert long_functions(f"def long():\n{body}    y = 2\n") == ["long (61)"]
