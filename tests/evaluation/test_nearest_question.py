"""What judged rows that training rows nearly repeat do to levels and to the verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.judged import case, changed
from transfuse.evaluation.case import Case
from transfuse.evaluation.metric import metric
from transfuse.evaluation.nearest import Near
from transfuse.evaluation.questions import nearest
from transfuse.evaluation.verdict import judge
from transfuse.types import Evidence, Undefined


def near(made: Case, rows: object, ratio: bool = True) -> Near:
    close = np.zeros(len(made.items), dtype=bool)
    close[rows] = True
    other = tuple(f"train{row}" for row in range(len(close)))
    return Near(close, other, np.where(close, 0.1, 0.9) if ratio else None, np.array(made.items.targets))


def asked(made: Case) -> dict[tuple[str, str | None, str], Evidence]:
    return {(row.arm, row.versus, row.quantity): row for row in nearest.ask(made)}


def remembered(made: Case, rows: np.ndarray) -> Case:
    """The winner knows these rows by heart; on all others it answers as the best single does."""
    winner, single = made.tables[made.winner], made.tables[made.best_single]
    probs = single.probs.copy()
    probs[:, rows] = 0.999 * np.eye(probs.shape[2])[np.asarray(made.items.targets)[rows]] + 0.00025
    probs[:, 0] = winner.probs[:, 0]
    tables = {**made.tables, made.winner: replace(winner, probs=probs)}
    return changed(made, tables=tables, nearest={"a": near(made, rows)})


def test_levels_and_the_difference_are_those_of_the_rows_left():
    made = case()
    made = changed(made, nearest={"a": near(made, slice(0, 50)), "b": near(made, slice(40, 60))})
    rows, table = asked(made), made.tables[made.winner]
    assert [rows[name, None, "near_identical"].value for name in ("a", "b", nearest.ANY)] == [0.25, 0.1, 0.3]
    values = metric("log_loss").run_columns(np.asarray(made.items.targets), table.probs)[..., 0]
    for prefix, part in (("apart_", values[:, 60:]), ("near_", values[:, :60])):
        row = rows[made.winner, None, f"{prefix}log_loss"]
        assert row.value == pytest.approx(part.mean()) and row.n == part.shape[1]
        assert row.provenance["all"] == pytest.approx(values.mean())
    row = rows[made.winner, made.best_single, "apart_log_loss"]
    assert row.n == 140 and row.provenance["status"] == row.provenance["status_all"] == "better"
    assert not nearest.flags(made, {row.id: row for row in rows.values()})


def test_a_gain_that_is_recall_is_flagged_with_what_is_left_of_it():
    made = remembered(case(count=300), np.arange(1, 80))
    row = asked(made)[made.winner, made.best_single, "apart_log_loss"]
    assert (row.provenance["status_all"], row.provenance["status"]) == ("better", "equivalent")
    (flag,) = [flag for flag in judge(made).verdict.flags if flag.flag == "near_identical"]
    assert "79 of 300 judged rows have a near-identical training row." in flag.why
    assert (
        "Without them concat against frozen/lite0 is shown equivalent in log-loss, on all rows shown better" in flag.why
    )
    assert "concat has a log-loss of" in flag.why and "frozen/lite0 has" not in flag.why
    assert row.id in flag.evidence


def test_nothing_found_is_told_and_nothing_is_left_out():
    made = case()
    made = changed(made, nearest={"a": near(made, []), "b": Undefined("too few")})
    rows = nearest.ask(made)
    assert [row.quantity for row in rows] == ["near_identical"] * 2
    assert rows[0].value == 0.0 and rows[1].value == Undefined("too few")
    assert nearest.ask(changed(made, nearest={})) == []
    assert len(nearest.ask(changed(made, nearest={"b": Undefined("too few")}))) == 1


def test_few_rows_on_either_side_are_no_level():
    made = case()
    rows = asked(changed(made, nearest={"a": near(made, slice(0, 9))}))
    assert ("concat", None, "near_log_loss") not in rows and ("concat", None, "apart_log_loss") in rows
    rows = asked(changed(made, nearest={"a": near(made, slice(0, 195))}))
    left = rows["concat", None, "apart_log_loss"].value
    assert isinstance(left, Undefined) and "only 5 judged rows" in left.reason
    assert rows["concat", "frozen/lite0", "apart_log_loss"].provenance["status"] == "not shown"


def test_pairs_of_other_labels_are_named_first_and_together_by_who_finds_them_nearest():
    made = case()
    one, other = near(made, slice(0, 30)), near(made, slice(20, 40), ratio=False)
    label = np.array(one.label)
    label[12] = (label[12] + 1) % 4
    one = replace(one, label=label, ratio=np.where(one.close, np.linspace(0.1, 0.4, 200), 0.9))
    rows = asked(changed(made, nearest={"looks": other, "a": one}))
    first = rows["a", None, "near_identical"].provenance
    assert first["pairs"][0][:2] == ["item12", "train12"] and first["pairs"][0][2] != first["pairs"][0][3]
    assert first["differ"] == 1 and len(first["pairs"]) == 7
    assert [pair[0] for pair in first["pairs"][1:]] == ["item0", "item1", "item2", "item27", "item28", "item29"]
    both = rows[nearest.ANY, None, "near_identical"].provenance
    assert both["count"] == 40 and both["pairs"][-1] == ["item39", "train39", *both["pairs"][-1][2:4], None]


def test_arms_in_another_order_of_rows_are_met_by_id():
    made = case()
    order = np.random.default_rng(0).permutation(len(made.items))
    made = changed(made, nearest={"a": near(made, slice(0, 50))})
    table = made.tables["frozen/lite0"]
    items = replace(table.items, ids=tuple(table.items.ids[row] for row in order), targets=table.items.targets[order])
    turned = replace(table, items=items, probs=table.probs[:, order], logits=None)
    again = asked(changed(made, tables={**made.tables, "frozen/lite0": turned}))
    for key, row in asked(made).items():
        assert again[key].value == pytest.approx(row.value)
