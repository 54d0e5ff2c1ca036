"""`transfuse choose` as a newcomer runs it: from specs, from a recipe, again, and the wrong ways."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from e2e.house import evidence, executed, write_recipe
from transfuse.doors.cli import app, main

SOURCES = ("demo:residual", "demo:depthwise", "demo:vgg")
WORDS = ("choose", *SOURCES, "--data", "sklearn:digits", "--canvas", "28", "--rows", "120")


def transfuse(*words: str, cwd: Path):
    """One command in this process, with its own store; a refusal comes back as its error."""
    before = Path.cwd()
    os.chdir(cwd)
    try:
        return CliRunner().invoke(app, list(words), env={"TRANSFUSE_STORE": str(cwd / "store"), "COLUMNS": "100"})
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    """A look at the demo's sources: (folder, result)."""
    folder = tmp_path_factory.mktemp("choose")
    result = transfuse(*WORDS, cwd=folder)
    assert result.exit_code == 0, result.output
    return folder, result


def test_it_ends_with_a_source_an_answer_on_a_second_one_and_a_report(looked):
    folder, result = looked
    said = " ".join(result.stdout.split())
    assert said.startswith("Recommendation: ") and "A second model? " in said
    assert "120 of 1,797 rows were looked at" in said and "Scores in the probe's order" in said
    assert result.stdout.rstrip().endswith("report: runs/choose/report.html")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    page = (folder / "runs/choose/report.html").read_text(encoding="utf-8")
    for word in (
        "Which source, and is a second one worth it?",
        "Each source alone",
        "Sources together",
        "How to repro",
    ):
        assert word in page
    assert "The verdict" not in page and "transfuse choose demo:residual" in page


def test_evidence_has_the_form_of_a_choice_and_names_no_test(looked):
    found = evidence(looked[0] / "runs" / "choose")
    assert (found["schema"], found["kind"]) == ("transfuse/evidence/1", "choice")
    assert {row["split"] for row in found["evidence"]} == {"apart"}
    ids = {row["id"] for row in found["evidence"]}
    assert all(set(claim["evidence"]) <= ids for claim in found["verdict"]["claims"])
    assert sorted(name for names in found["ties"] for name in names) == ["depthwise", "residual", "vgg"]
    assert "ordinal" not in found["ledger"]
    assert str(looked[0]) not in json.dumps(found)


def test_again_it_computes_nothing_and_changes_no_byte(looked):
    folder, _ = looked
    out = folder / "runs" / "choose"
    before = (out / "evidence.json").read_bytes()
    result = transfuse(*WORDS, "--json", cwd=folder)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads(before)
    assert (out / "evidence.json").read_bytes() == before and executed(out) == []


def test_a_recipes_test_rows_stay_closed_and_its_features_are_those_of_a_run(looked):
    folder, _ = looked
    write_recipe(folder)
    result = transfuse("choose", "small.yaml", "--out", "look", cwd=folder)
    assert result.exit_code == 0, result.output
    assert "the rows of the test split stay closed" in " ".join(result.stdout.split())
    done = executed(folder / "look")
    assert {step for step in done if step.startswith("extract")} == {
        f"extract {source}.{tap}"
        for source in ("residual", "depthwise")
        for tap in ("vector s0", "vector val", "logits s0 unpooled", "logits val unpooled")
    }
    assert not list((folder / "store").glob("ledger/*.json*"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("choose", "demo:vgg"), "nothing to look at the sources on"),
        (("choose", "demo:vgg", "demo:vgg", "--data", "sklearn:digits"), "same name"),
        (("choose", "demo:vg", "--data", "sklearn:digits", "--canvas", "28"), "demo network"),
    ],
)
def test_the_wrong_ways_are_told_in_one_message(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["transfuse", *words])
    monkeypatch.setenv("TRANSFUSE_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2 and told in said and "Traceback" not in said
