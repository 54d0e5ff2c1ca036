"""`transfuse new`: every skeleton lacks its law alone; with one filled in it keeps its contract."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from transfuse import registry
from transfuse.doors.writing import entry_point, shelves, skeleton, write
from transfuse.errors import UserError
from transfuse.registry import PACKAGE, read_file

HOLE = "raise NotImplementedError("
# For each shelf the laws that fill its holes, in order.
LAWS: dict[str, tuple[str, ...]] = {
    "choosers": (
        "tried = [{k: float(rng.uniform(*ends)) for k, ends in space.items()} for _ in range(budget)]\n"
        "    return min(tried, key=score)",
    ),
    "compress": ("return model",),
    "conditions": ("return 0.5 * image + 0.1",),
    "data/readers": ('return [(label, np.zeros((4, 4), dtype=np.uint8)) for label in "abab"]',),
    "evaluation/metrics": (
        "return np.stack([(probs.argmax(1) == targets).astype(float), np.ones(len(targets))], axis=1)",
    ),
    "evaluation/questions": ("return float(case.tables[name].probs.max(axis=2).mean())",),
    "evaluation/scores": (
        "means = [material.block[material.targets == label].mean(axis=0) for label in material.present]\n"
        "    return float(sum(mean.var() for mean in means) / material.block.var())",
    ),
    "fusion/align": ("from transfuse.fusion.turning import unturned\n    return unturned(groups)",),
    "fusion/exports": ("path.write_text(f'{dict(facts)} {program.graph}')",),
    "fusion/features": ("return hidden.sum(dim=0)",),
    "fusion/outputs": ("return probabilities.mean(axis=0)",),
    "fusion/statistics": (
        "return {name: value.detach().double().numpy() ** 2 for name, value in network.named_parameters()}",
    ),
    "fusion/structure": ("return pooled.sum(dim=0)",),
    "fusion/weights": (
        "share = unit.w / unit.w.sum()\n    return sum(share[k] * unit.x[k] for k in range(len(share)))",
        "return sum(unit.w[k] * unit.x[k] for k in range(len(unit.w))) / unit.w.sum()",
    ),
    "report/exports": ("return view.recommendation.arm",),
    "report/sections": ("return view.recommendation.why",),
    "run/engines": (
        "future: Future[Done] = Future()\n    future.set_result(in_worker(job, place))\n    return future",
    ),
    "run/trackers": (
        "path = finished.folder / 'told.txt'\n    path.write_text(str(values), encoding='utf-8')\n    return str(path)",
    ),
    "source/adapters": (
        "return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))",
    ),
    "steps": ('return {"count": len(inputs)}, None',),
    "train/augment": (
        "inputs = [mixed(values, other, share) for values in batch.inputs]\n"
        "    return replace(batch, inputs=inputs, targets=mixed_targets(batch, other, share, classes))",
    ),
    "train/objectives": ('return {"brand_new": self.about.loss(logits, batch)}',),
}
# What skeletons define beside what their shelf asks for.
HELPERS = {"fusion/structure": ("Grown",), "run/engines": ("submit",), "run/trackers": ("told",)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("brand_new", "test_brand_new"):
        sys.modules.pop(name, None)


def loaded(path: Path) -> ModuleType:
    sys.modules.pop("brand_new", None)
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_tests(path: Path) -> None:
    """All tests of a written file, as pytest would."""
    tests = [test for name, test in vars(loaded(path)).items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


def filled(text: str, laws: tuple[str, ...]) -> str:
    lines, left = [], list(laws)
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(indent + left.pop(0) if line.lstrip().startswith(HOLE) else line)
    assert not left
    return "\n".join(lines)


def test_there_is_a_skeleton_for_every_shelf() -> None:
    """A shelf is a folder that some line of the package asks the registry for."""
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    asked = set(re.findall(r'(?:shelf|find)\("([a-z_/]+)"|SHELF = "([a-z_/]+)"', text))
    named = {one or other for one, other in asked} | {f"fusion/{family}" for family in registry.FAMILIES}
    found = {name for name in named if (PACKAGE / name).is_dir() and registry.shelf(name)}
    assert found <= set(shelves()) == set(LAWS)


@pytest.mark.parametrize("shelf", LAWS)
def test_a_skeleton_without_its_law_fails_and_with_it_keeps_the_contract(shelf: str, folder: Path) -> None:
    method, test = write(shelf, "brand_new", folder)
    with pytest.raises((NotImplementedError, AssertionError)):
        run_tests(test)
    method.write_text(filled(method.read_text(), LAWS[shelf]))
    run_tests(test)
    entry = read_file(shelf, method, "brand_new")
    assert entry.law.endswith((".", "?", ":")) or entry.law.count("`") == 2
    assert "__NAME__" not in method.read_text() + test.read_text()


@pytest.mark.parametrize("shelf", LAWS)
def test_a_skeleton_imports_public_names_and_its_shelf_says_what_it_defines(shelf: str) -> None:
    parts = [ast.parse(part) for part in skeleton(shelf, "brand_new")]
    imports = [node for part in parts for node in ast.walk(part) if isinstance(node, ast.ImportFrom)]
    taken = [f"{node.module}.{alias.name}" for node in imports for alias in node.names if node.module != "__future__"]
    assert [name for name in taken if "._" in name] == []
    said = ast.get_docstring(ast.parse((PACKAGE / shelf / "__init__.py").read_text(encoding="utf-8"))) or ""
    defined = [node.name for node in parts[0].body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    ours = [name for name in defined if not name.startswith("_") and name not in HELPERS.get(shelf, ())]
    assert [name for name in ours if not re.search(rf"(`|    ){name}[(`]", said)] == []


def test_a_family_goes_by_its_own_name(tmp_path: Path) -> None:
    assert skeleton("features", "brand_new") == skeleton("fusion/features", "brand_new")
    assert entry_point("features", "brand_new").splitlines() == [
        '[project.entry-points."transfuse.fusion.features"]', 'brand_new = "brand_new"',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shelf", "name", "mentions"),
    [
        ("feature", "mine", ["unknown shelf 'feature'"]),
        ("train/objective", "mine", ["unknown shelf", "train/objectives"]),
        ("features", "gate", ["features/gate is there already"]),
        ("features", "My-Gate", ["no name for a module", "My-Gate"]),
        ("features", "class", ["no name for a module"]),
        ("features", "json", ["no name for a module", "Python's own"]),
    ],
)
def test_what_cannot_be_begun_is_one_clean_message(shelf: str, name: str, mentions: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        write(shelf, name, tmp_path)
    assert all(text in str(caught.value) for text in mentions), str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["mine.py", "test_mine.py"])
def test_nothing_is_overwritten(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(UserError, match="a file of that name already"):
        write("features", "mine", tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        write("features", "mine", tmp_path / "absent")
