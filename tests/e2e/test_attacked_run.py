"""A run whose arms are attacked, from the command line to the evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.house import RECIPE, evidence, executed, forked, write_recipe

JUDGE = "judge: {conditions: {fgsm: [0.1], square: [0.1]}, attacked: 10, transfer: [residual]}\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with its store after one attacked run."""
    folder = tmp_path_factory.mktemp("attacked")
    recipe = write_recipe(folder, RECIPE.replace("seeds: 2", "seeds: 1") + JUDGE)
    done = forked("run", recipe.name, "--out", "out", store=folder / "store", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, folder / "store"


def rows(house: tuple[Path, Path]) -> dict[str, dict]:
    return {row["id"]: row for row in evidence(house[0] / "out")["evidence"]}


def test_every_looked_at_arm_is_attacked_on_the_same_few_items(house):
    found = [row for row in rows(house).values() if row["quantity"] == "robust_accuracy"]
    conditions = {"fgsm@0.1", "fgsm@0.1~residual", "square@0.1", "square@0.1~residual"}
    assert {row["condition"] for row in found} == conditions and {row["n"] for row in found} == {10}
    assert {row["arm"] for row in found} >= {"concat", "ensemble"}


def test_the_worst_case_pairs_the_winner_with_the_best_single_and_attacks_hurt(house):
    found = rows(house)
    pairs = [row for row in found.values() if row["quantity"] == "worst_case_accuracy" and row["versus"]]
    assert len(pairs) == 1 and pairs[0]["condition"] == "linf@0.1" and pairs[0]["pairing"] == "item"
    worst = found["worst_case_accuracy:concat:test:linf@0.1"]
    assert worst["value"] < worst["provenance"]["clean"]


def test_running_again_attacks_nobody_and_changes_no_byte(house):
    folder, store = house
    before = (folder / "out" / "evidence.json").read_bytes()
    done = forked("run", "small.yaml", "--out", "out", store=store, cwd=folder)
    assert done.returncode == 0 and executed(folder / "out") == []
    assert (folder / "out" / "evidence.json").read_bytes() == before
