from __future__ import annotations

import copy
import csv
import io

import pytest
from ruamel.yaml import YAML

from report import example
from report.example import evidence, measurements
from report.full import full_record
from transfuse import registry
from transfuse.report.document import findings
from transfuse.report.exports import checklist, model_card, rows
from transfuse.report.text import escape
from transfuse.report.view import View


def view(change=None) -> View:
    record = copy.deepcopy(evidence())
    if change is not None:
        change(record)
    return View(record, measurements())


def metadata(card: str) -> dict:
    head = card.split("---\n")[1]
    return YAML(typ="safe").load(head)


def test_the_shelf_is_the_list_of_exports() -> None:
    assert sorted(registry.shelf("report/exports")) == ["checklist", "model_card", "rows"]


def test_a_model_card_holds_every_judged_level_with_its_interval_and_verifies_none() -> None:
    index = metadata(model_card.render(view()))["model-index"]
    (result,) = index[0]["results"]
    found = {metric["type"]: metric for metric in result["metrics"]}
    assert index[0]["name"] == view().winner
    assert found["accuracy"]["value"] == pytest.approx(view().level(view().winner, "accuracy").value)
    assert found["accuracy"]["args"]["low"] < found["accuracy"]["value"] < found["accuracy"]["args"]["high"]
    assert not any(metric["verified"] for metric in result["metrics"])


def test_the_hub_reads_the_card_back_and_finds_no_base_that_is_none_of_its_models() -> None:
    hub = pytest.importorskip("huggingface_hub")

    def named(record):
        record["setup"]["sources"][0]["spec"] = "hf:timm/resnet18?tag=1"

    for change, bases in ((None, None), (named, ["timm/resnet18"])):
        card = hub.ModelCard(model_card.render(view(change)))
        known = {result.metric_type: result for result in card.data.eval_results}
        assert card.data.model_name == view().winner
        assert known["accuracy"].metric_value == pytest.approx(view().level(view().winner, "accuracy").value)
        assert known["accuracy"].task_type == "image-classification"
        assert card.data.get("base_model") == bases


@pytest.mark.parametrize(
    ("field", "kind", "task"),
    [
        (None, "multiclass", "image-classification"),
        ("text", "multilabel", "text-classification"),
        ("image+columns", "multiclass", "other"),
        (None, "regression", "other"),
    ],
)
def test_the_hub_is_told_what_is_read(field, kind, task):
    def changed(record):
        record["setup"]["data"] |= {} if field is None else {"field": field}
        record["setup"]["task"]["kind"] = kind

    (result,) = metadata(model_card.render(view(changed)))["model-index"][0]["results"]
    assert result["task"]["type"] == task


def test_a_level_that_is_undefined_is_left_out_of_the_index() -> None:
    def lost(record):
        for row in record["evidence"]:
            if row["quantity"] == "accuracy":
                row.pop("value", None)
                row["undefined"] = "nobody knows"

    (result,) = metadata(model_card.render(view(lost)))["model-index"][0]["results"]
    assert "accuracy" not in [metric["type"] for metric in result["metrics"]]


def test_one_common_licence_is_the_cards_and_several_are_other() -> None:
    def licensed(*names):
        def change(record):
            for source, name in zip(record["setup"]["sources"], names, strict=False):
                source["licence"] = name

        return change

    count = len(evidence()["setup"]["sources"])
    assert metadata(model_card.render(view(licensed(*["mit"] * count))))["license"] == "mit"
    assert metadata(model_card.render(view(licensed("mit", "apache-2.0"))))["license"] == "other"


def test_a_licence_that_is_not_known_is_said_to_be_unknown() -> None:
    def change(record):
        record["setup"]["sources"][0]["licence"] = "unknown"

    assert "is not known; look before you pass the model on" in model_card.render(view(change))


def test_names_cannot_break_out_of_the_card() -> None:
    def change(record):
        record["setup"]["data"]["source"] = "---\nlicense: mit\n# <script>"
        record["setup"]["sources"][0]["spec"] = "x: [1, 2"

    card = model_card.render(view(change))
    assert metadata(card)["model-index"][0]["results"][0]["dataset"]["name"].startswith("---")
    assert "\n# <script>" not in card.split("---\n", 2)[2]


def test_what_the_evidence_cannot_tell_is_left_to_a_person() -> None:
    assert model_card.render(view()).count("To be written by whoever ships this model") == 2
    assert "**To be answered**" in checklist.render(view())


def test_the_checklist_answers_from_the_evidence() -> None:
    def opened(times):
        return lambda record: record["ledger"].update(ordinal=times)

    assert "| Was the test set used once? | **Yes** |" in checklist.render(view(opened(1)))
    assert "| Was the test set used once? | **Partly** | this plan's opening" in checklist.render(view(opened(3)))


def test_the_checklist_says_yes_to_nothing_it_does_not_know() -> None:
    def bare(record):
        record |= {"setup": {}, "ledger": {}, "arms": []}
        record["verdict"]["claims"] = []
        record["evidence"] = []

    found = checklist.render(View(_changed(bare)))
    answers = [line.split("|")[2].strip(" *") for line in found.splitlines() if line.startswith("| ")][2:]
    assert answers.count("Yes") == 1  # that limits are stated: what was not measured is listed, always


def _changed(change) -> dict:
    record = copy.deepcopy(evidence())
    change(record)
    return record


def test_rows_are_all_the_evidence_and_all_measurements() -> None:
    found = list(csv.DictReader(io.StringIO(rows.render(view()))))
    assert [row["id"] for row in found] == [row.id for row in (*view().evidence, *view().measurements)]
    lost = [row for row in found if row["undefined"]]
    assert all(row["value"] == "" for row in lost)
    first = next(row for row in found if row["id"] == "accuracy:concat:test:clean")
    assert float(first["value"]) == view().level("concat", "accuracy").value


def test_no_cell_becomes_a_formula() -> None:
    def change(record):
        record["evidence"][0]["method"] = "=HYPERLINK(1)"

    assert "'=HYPERLINK(1)" in rows.render(view(change))


def test_card_and_checklist_tell_what_was_found_beyond_the_deciding_measure() -> None:
    view = View(full_record())
    card, list_ = model_card.render(view), checklist.render(view)
    for name, heading in findings(view).items():
        if name in model_card.BEYOND:
            assert f"- **{escape(heading.text)}**: {escape(heading.finding)}" in card
        if name in checklist.BEYOND.values():
            assert f"| **Yes** | {escape(heading.finding)} |" in list_


def test_what_was_not_asked_is_said_to_be_missing() -> None:
    view = View(evidence())
    card, list_ = model_card.render(view), checklist.render(view)
    assert "spoilt inputs, items of another kind and what sources forget" in card
    assert "| Is forgetting measured? | **To be answered** | not measured in this run |" in list_


def test_the_optimism_of_choosing_is_an_answer_where_there_is_one() -> None:
    record = evidence()
    told = {"sentence": "The best of 3 was chosen."}
    record["evidence"].append(example.row("concat", "selection_optimism", -0.01, "nats", "lower", provenance=told))
    answered = "| Is the optimism of choosing told? | **Yes** | The best of 3 was chosen. |"
    assert answered in checklist.render(View(record))
