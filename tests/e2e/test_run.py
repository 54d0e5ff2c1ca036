"""One real run by the command line, and the same again: nothing recomputed, nothing changed, no large import."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from e2e.house import RECIPE, environment, evidence, executed, forked, transfuse, write_recipe


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder with a recipe that was run once: (folder, store, first result)."""
    folder = tmp_path_factory.mktemp("house")
    write_recipe(folder)
    store = folder / "store"
    result = forked("run", "small.yaml", store=store, cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, store, result


@pytest.fixture
def out(house) -> Path:
    return house[0] / "runs" / "small"


def test_a_run_ends_with_a_recommendation_and_the_reports_path(house, out):
    _, _, result = house
    assert "Recommendation: Ship " in result.stdout
    assert result.stdout.rstrip().endswith("report: runs/small/report.html")
    assert (out / "report.html").stat().st_size > 10_000


def test_the_folder_holds_all_that_is_promised(out):
    for name in ("report.html", "report.md", "evidence.json", "measurements.json", "recipe.lock.yaml", "journal.jsonl"):
        assert (out / name).is_file(), name
    assert any((out / "models").iterdir())


def test_evidence_has_the_fixed_form(out):
    found = evidence(out)
    assert found["schema"] == "transfuse/evidence/1"
    assert {"arm", "form", "why"} <= set(found["verdict"]["recommendation"])
    for claim in found["verdict"]["claims"]:
        assert {"arm", "versus", "quantity", "status", "evidence"} <= set(claim)
    ids = {row["id"] for row in found["evidence"]}
    assert all(set(claim["evidence"]) <= ids for claim in found["verdict"]["claims"])
    assert {arm["name"] for arm in found["arms"]} >= {
        "prior",
        "frozen/residual",
        "frozen/depthwise",
        "ensemble",
        "concat",
        "copies",
    }
    assert found["ledger"]["ordinal"] == 1


def test_evidence_holds_no_clock_and_no_path_of_this_machine(house, out):
    text = (out / "evidence.json").read_text(encoding="utf-8")
    assert str(house[0]) not in text
    assert "latency" not in json.dumps([row["quantity"] for row in evidence(out)["evidence"]])


def test_predictions_are_stored_by_arm_run_split_and_condition(out):
    found = load_file(out / "predictions" / "concat" / "s0" / "test" / "clean.safetensors")
    items = json.loads((out / "predictions" / "test.items.json").read_text(encoding="utf-8"))
    assert found["scores"].shape == (200, 10)
    assert found["scores"].dtype == np.float32
    assert len(items["ids"]) == len(items["targets"]) == 200
    assert sorted(found["rows"]) == list(range(200))


def test_stored_predictions_give_the_accuracy_of_the_evidence(out):
    items = json.loads((out / "predictions" / "test.items.json").read_text(encoding="utf-8"))
    shares = []
    for run in ("s0", "s1"):
        found = load_file(out / "predictions" / "concat" / run / "test" / "clean.safetensors")
        names = [items["classes"][place] for place in found["scores"].argmax(1)]
        truth = [items["targets"][row] for row in found["rows"]]
        shares.append(np.mean([name == target for name, target in zip(names, truth, strict=True)]))
    (row,) = [
        row
        for row in evidence(out)["evidence"]
        if (row["arm"], row["quantity"], row["versus"]) == ("concat", "accuracy", None)
    ]
    assert row["value"] == pytest.approx(np.mean(shares), abs=1e-12)


def test_the_delivered_model_predicts_as_the_arm_did(house, out):
    import torch

    from transfuse import load
    from transfuse.data.canvas import batch
    from transfuse.data.open import open_data

    study = load(out)
    model = study.model()
    description = json.loads(
        (out / "models" / study.winner.replace("/", ".") / "model.json").read_text(encoding="utf-8")
    )
    items = json.loads((out / "predictions" / "test.items.json").read_text(encoding="utf-8"))
    data = open_data("sklearn:digits", house[0])
    places = {item: row for row, item in enumerate(data.items.ids)}
    canvas = torch.from_numpy(batch(data, [places[item] for item in items["ids"]], description["canvas"]))
    path = out / "predictions" / study.winner.replace("/", ".") / description["run"] / "test" / "clean.safetensors"
    kept = load_file(path)
    with torch.no_grad():
        fresh = model(canvas).numpy()[kept["rows"]]
    np.testing.assert_allclose(fresh, kept["scores"], atol=2e-4)


def test_running_again_computes_nothing_imports_no_numerics_and_changes_no_byte(house, out):
    folder, store, _ = house
    before = {name: (out / name).read_bytes() for name in ("evidence.json", "measurements.json", "report.html")}
    code = (
        "import sys, transfuse.doors.cli as cli\n"
        f"sys.argv = ['transfuse', 'run', {str(folder / 'small.yaml')!r}, '--out', {str(out)!r}]\n"
        "try:\n    cli.main()\nfinally:\n    print({'torch', 'scipy', 'sklearn'} & {*sys.modules} or 'none')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment(store), cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "none"
    assert executed(out) == []
    assert {name: (out / name).read_bytes() for name in before} == before


def test_what_is_lost_of_the_results_is_delivered_again_and_what_others_put_there_stays(house, tmp_path):
    _, store, _ = house
    write_recipe(tmp_path)
    words = ("run", "small.yaml", "--out", "here")
    assert forked(*words, store=store, cwd=tmp_path).returncode == 0
    here = tmp_path / "here"
    whole = {path: path.read_bytes() for path in here.rglob("*.safetensors")}
    lock = (here / "recipe.lock.yaml").read_bytes()
    (here / "predictions" / "answers.csv").write_text("mine", encoding="utf-8")
    (here / "notes").mkdir()
    (here / "notes" / ".backup.tmp").write_text("mine too", encoding="utf-8")
    (here / "recipe.lock.yaml").write_text("", encoding="utf-8")
    shutil.rmtree(here / "models")
    damaged = next(path for path in whole if path.is_relative_to(here / "predictions"))
    damaged.write_bytes(whole[damaged][:-1] + b"\xff")
    assert forked(*words, store=store, cwd=tmp_path).returncode == 0
    assert executed(here) == []
    assert {path: path.read_bytes() for path in here.rglob("*.safetensors")} == whole
    assert (here / "recipe.lock.yaml").read_bytes() == lock
    kept = [here / "predictions" / "answers.csv", here / "notes" / ".backup.tmp"]
    assert [path.read_text(encoding="utf-8") for path in kept] == ["mine", "mine too"]


def test_another_margin_judges_again_and_trains_nothing(house):
    folder, store, _ = house
    write_recipe(folder, RECIPE + "margin: 0.5\n", "margin.yaml")
    result = forked("run", "margin.yaml", store=store, cwd=folder)
    assert result.returncode == 0, result.stderr
    done = executed(folder / "runs" / "margin")
    assert not [step for step in done if step.startswith(("fit", "extract", "predict", "count"))], done
    assert evidence(folder / "runs" / "margin")["ledger"]["ordinal"] == 2


def test_another_fuser_trains_its_own_arms_only(house, out):
    folder, store, _ = house
    write_recipe(folder, RECIPE.replace("features/concat", "features/gate"), "gate.yaml")
    result = forked("run", "gate.yaml", store=store, cwd=folder)
    assert result.returncode == 0, result.stderr
    done = executed(folder / "runs" / "gate")
    fits = {step for step in done if step.startswith("fit")}
    choices = {each["choice"]: each["chosen"] for each in evidence(out)["setup"]["choices"]}
    controls = ("random/residual@gate", "random/depthwise@gate", f"copies@gate with {choices['best_single']}")
    assert fits == {f"fit {arm} {run}" for arm in ("gate", *controls) for run in ("s0", "s1")}
    assert not [step for step in done if step.startswith("extract")]


def test_results_do_not_depend_on_workers_or_hash_seed(house, tmp_path):
    folder, _, _ = house
    kept = (folder / "runs" / "small" / "evidence.json").read_bytes()
    write_recipe(tmp_path)
    result = transfuse(
        "run", "small.yaml", "--workers", "2", store=tmp_path / "store", cwd=tmp_path, PYTHONHASHSEED="7"
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "runs" / "small" / "evidence.json").read_bytes() == kept


def test_a_changed_recipe_in_the_same_folder_keeps_the_old_evidence(house, tmp_path):
    folder, store, _ = house
    write_recipe(tmp_path)
    for text in (RECIPE, RECIPE + "margin: 0.25\n"):
        write_recipe(tmp_path, text)
        result = forked("run", "small.yaml", "--out", "here", store=store, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    (old,) = (tmp_path / "here" / "history").iterdir()
    assert json.loads((old / "evidence.json").read_text(encoding="utf-8"))["setup"]["margin"]["rule"] == "auto"
    assert evidence(tmp_path / "here")["setup"]["margin"]["rule"] == 0.25


def test_the_lock_file_is_a_recipe_that_gives_the_same_evidence(house, out, tmp_path):
    folder, store, _ = house
    (tmp_path / "lock.yaml").write_bytes((out / "recipe.lock.yaml").read_bytes())
    result = forked("run", "lock.yaml", store=store, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert executed(tmp_path / "runs" / "lock") == []


def test_report_is_made_anew_from_the_evidence(house, out):
    folder, store, _ = house
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    result = forked("report", "runs/small", store=store, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert (out / "report.html").read_bytes() == before


def test_plan_tells_steps_cost_and_what_is_cached(house):
    folder, store, _ = house
    result = forked("plan", "small.yaml", store=store, cwd=folder)
    assert result.returncode == 0, result.stderr
    for word in ("protocol: locked", "CPU seconds", "choices", "not measured", "in the store already"):
        assert word in result.stdout
