"""Starting a new file of a shelf: without this, the first half hour of a plugin would be copying another one."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path

from transfuse.errors import UserError, unknown_name
from transfuse.registry import find, shelf

FOLDER = Path(__file__).parent / "skeletons"
PLACE, BREAK = "__NAME__", "# ---- test ----\n"


def shelves() -> list[str]:
    """Every shelf that a new file can be begun for."""
    return sorted(path.stem.replace(".", "/") for path in FOLDER.glob("*.txt"))


def skeleton(shelf_name: str, name: str) -> tuple[str, str]:
    """The method file and its test as text. A family may be named without `fusion/`.

    Raises UserError for a shelf that is none, and for a name that no module can have or that the shelf has already.
    """
    full = shelf_name if shelf_name in shelves() else f"fusion/{shelf_name}"
    if full not in shelves():
        raise unknown_name("shelf", shelf_name, shelves())
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or name in sys.stdlib_module_names:
        raise UserError(
            "this is no name for a module",
            expected="lower-case letters, digits and _, no module of Python's own",
            got=name,
        )
    if name in shelf(full):
        taken = find(full, name)
        raise UserError(f"{taken.full_name} is there already", where=str(taken.path), hint="choose another name")
    text = (FOLDER / f"{full.replace('/', '.')}.txt").read_text(encoding="utf-8")
    method, _, test = text.replace(PLACE, name).partition(BREAK)
    return method, test


def write(shelf_name: str, name: str, folder: Path) -> list[Path]:
    """`NAME.py` and `test_NAME.py` in a folder that exists; a file that is there is never overwritten."""
    texts = dict(zip((folder / f"{name}.py", folder / f"test_{name}.py"), skeleton(shelf_name, name), strict=True))
    for path in texts:
        if path.exists():
            raise UserError(
                "there is a file of that name already", where=str(path), hint="--out FOLDER, or another name"
            )
    if not folder.is_dir():
        raise UserError("there is no such folder", where=str(folder))
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return list(texts)


def entry_point(shelf_name: str, name: str) -> str:
    """What a plugin's pyproject.toml says so that the shelf finds it."""
    full = shelf_name if shelf_name in shelves() else f"fusion/{shelf_name}"
    return f'[project.entry-points."transfuse.{full.replace("/", ".")}"]\n{name} = "{name}"'
