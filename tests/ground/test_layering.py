"""The walls of the house: who may import whom, who stays free of torch, and that importing does nothing else."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import transfuse

PACKAGE = Path(transfuse.__file__).parent
LAYERS = (
    (
        "errors",
        "types",
        "jsonio",
        "costs",
        "registry",
        "seeds",
        "events",
        "figures",
        "schedules",
        "reads",
        "levels",
        "mapped",
        "ledger",
        "kinds",
        "given",
        "labels",
        "partial",
        "threads",
        "cells",
        "packed",
        "texts",
        "fields",
        "folder",
        "spreads",
    ),
    ("files",),
    ("distant",),
    ("store",),
    ("demo",),
    ("data", "source"),
    ("fusion", "train", "conditions", "choosers", "evaluation", "plan", "trust"),
    # What is compressed is what fusing and training made.
    ("compress",),
    ("steps", "report"),
    ("run",),
    ("doors",),
)
GROUND = LAYERS[0]
HEIGHT = {room: height for height, layer in enumerate(LAYERS) for room in layer}
NO_TORCH = ("evaluation", "plan", "report", "store", "distant", *GROUND)
# These import no torch by themselves; what they do with torch happens inside functions.
NO_TORCH_AT_IMPORT = (*NO_TORCH, "run", "doors", "steps", "data", "demo/__init__.py")
COMES_WITH = {"markupsafe": "jinja2", "click": "typer", "rich": "typer"}
INSTALLED_AS = {"PIL": "pillow", "sklearn": "scikit-learn", "ruamel": "ruamel.yaml"}
FILES = sorted(PACKAGE.rglob("*.py"))


WHERE = "Where to look"
MAPPED = [path for path in FILES if path.name == "__init__.py" and WHERE in path.read_text("utf-8")]


@pytest.mark.parametrize("path", MAPPED, ids=lambda path: path.parent.name)
def test_what_a_rooms_map_names_is_there(path: Path) -> None:
    named = set(
        re.findall(r"`([a-z_]+)/?`", (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split(WHERE)[1])
    )
    there = {each.stem for each in path.parent.iterdir() if each.suffix == ".py" or (each / "__init__.py").is_file()}
    assert sorted(named - there) == []


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules(node: ast.AST) -> list[str]:
    """What one statement imports: `a.b` for `import a.b`, `a.b.c` for `from a.b import c`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []


def imports(path: Path) -> list[str]:
    """All imports of a file, those inside functions too."""
    return [name for node in ast.walk(ast.parse(path.read_text())) for name in modules(node)]


def at_import(node: ast.AST) -> Iterator[str]:
    """The imports that importing a file carries out: not those of functions, nor those for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from modules(child)
            yield from at_import(child)


def misplaced(room: str, imported: list[str]) -> list[str]:
    """Imports of this package that reach upward or sideways."""
    others = [name for name in imported if name.startswith("transfuse.") and not name.startswith("transfuse.__")]
    return [name for name in others if not allowed(room, name.split(".")[1])]


def allowed(room: str, other: str) -> bool:
    return room == other or HEIGHT[other] < HEIGHT[room] or (room in GROUND and other in GROUND)


def test_every_room_has_a_height() -> None:
    assert {room_of(path) for path in FILES} - {"__init__"} <= set(HEIGHT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_from_lower_layers_or_itself(path: Path) -> None:
    if room_of(path) != "__init__":
        assert misplaced(room_of(path), imports(path)) == []
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(ast.parse(path.read_text())))


def test_the_rule_itself_tells_up_from_down() -> None:
    assert misplaced("fusion", ["transfuse.source.base.Source", "transfuse.types.Card", "torch"]) == []
    upward = ["transfuse.train.loop.fit", "transfuse.steps.train", "transfuse.run"]
    assert misplaced("fusion", upward) == upward
    assert misplaced("data", ["transfuse.source"]) == ["transfuse.source"]
    source = (
        "def f():\n    import torch.nn\nif TYPE_CHECKING:\n    import a\ntry:\n    from b import c\nexcept E:\n    pass"
    )
    assert list(at_import(ast.parse(source))) == ["b.c"]
    everywhere = {name for node in ast.walk(ast.parse(source)) for name in modules(node)}
    assert everywhere == {"a", "b.c", "torch.nn"}


# What stands apart inside a room, and all of this room that it may know; `elsewhere` is known by none but doors.
INNER = {"evaluation/statistics": ("statistics", "metrics"), "evaluation/probes": ("probes",)}


@pytest.mark.parametrize("inner", INNER)
def test_the_arithmetic_of_judging_knows_no_case_and_no_table(inner: str) -> None:
    for path in sorted((PACKAGE / inner).glob("*.py")):
        inside = {name.split(".")[2] for name in imports(path) if name.startswith("transfuse.evaluation.")}
        assert inside <= set(INNER[inner]), path


def test_judging_does_not_wait_for_scipys_distributions() -> None:
    """`scipy.stats` takes most of a second to import; a score that needs it is asked for by name."""
    judge = [path for path in FILES if room_of(path) == "evaluation" and path.parent.name != "scores"]
    assert [path for path in judge if any("scipy.stats" in name for name in imports(path))] == []


def test_the_judge_does_not_know_where_predictions_come_from() -> None:
    judge = [path for path in FILES if room_of(path) == "evaluation" and path.parent.name != "elsewhere"]
    assert [path for path in judge if any("evaluation.elsewhere" in name for name in imports(path))] == []


@pytest.mark.parametrize("room", NO_TORCH)
def test_evaluating_planning_and_reporting_know_no_torch(room: str) -> None:
    for path in FILES:
        if room_of(path) == room:
            assert not {name.split(".")[0] for name in imports(path)} & {"torch", "torchvision", "timm"}, path


def test_importing_needs_no_more_than_what_is_installed_with_the_package() -> None:
    declared = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["project"]["dependencies"]
    known = {re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0] for line in declared} | {
        "transfuse",
        *sys.stdlib_module_names,
    }
    for path in FILES:
        tops = {name.split(".")[0] for name in at_import(ast.parse(path.read_text()))}
        assert {COMES_WITH.get(top, INSTALLED_AS.get(top, top)) for top in tops} <= known, path


IMPORTING = """
import importlib, json, random, sys
import numpy
def states():
    torch = sys.modules.get("torch")
    return repr([random.getstate(), numpy.random.get_state()[1:], torch and torch.get_rng_state().tolist()])
free, rest = json.loads(sys.argv[1])
before = states()
for name in free:
    importlib.import_module(name)
    assert "torch" not in sys.modules, f"{name} imports torch"
assert states() == before, "importing changed a global random state"
import torch
torch.set_num_threads(1)
before, threads = states(), torch.get_num_threads()
for name in rest:
    importlib.import_module(name)
assert states() == before, "importing changed a global random state"
assert torch.get_num_threads() == threads and torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
"""


def test_importing_brings_no_torch_where_none_is_needed_and_changes_nothing(tmp_path: Path) -> None:
    names: tuple[list[str], list[str]] = ([], [])
    for path in FILES:
        relative = path.relative_to(PACKAGE)
        parts = ["transfuse", *relative.with_suffix("").parts]
        bound = room_of(path) not in NO_TORCH_AT_IMPORT and str(relative) not in NO_TORCH_AT_IMPORT
        torch_bound = bound or relative.name in (
            "_flops.py",
            "_networks.py",
            "_model.py",
            "_merging.py",
            "_walked.py",
            "_compressed.py",
        )
        names[torch_bound].append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    command = [sys.executable, "-c", IMPORTING, json.dumps(names)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []
