"""Labels on spoilt inputs, on items of another kind and in groups: an item is right where all its labels are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.evaluation.case import Case
from transfuse.evaluation.questions import conditions, harm, outside
from transfuse.evaluation.tables import Table
from transfuse.types import ItemTable, Task

RNG = np.random.default_rng(0)
LABELS = ("red", "wet")
HELD = (RNG.random((120, 2)) < 0.5).astype(int)
GROUPS = tuple(f"g{row % 3}" for row in range(120))


def answers(name: str, items: ItemTable, skill: float) -> Table:
    targets = np.asarray(items.targets)
    logits = skill * (2.0 * targets - 1.0) + RNG.normal(size=(2, *targets.shape))
    return Table(name, items, expit(logits), ("s0", "s1"), logits=logits)


def labelled() -> Case:
    """concat against frozen/a, clean, blurred, and on 40 items of another kind."""
    items = ItemTable(tuple(f"i{row}" for row in range(120)), HELD, GROUPS)
    strange = ItemTable(tuple(f"o{row}" for row in range(40)), np.zeros((40, 2), dtype=np.int64))
    skills = {"concat": 2.0, "frozen/a": 1.5}
    return changed(
        full_case(),
        task=Task("multilabel", LABELS, "binary_log_loss", ()),
        items=items,
        tables={name: answers(name, items, skill) for name, skill in skills.items()},
        comparisons=(("concat", "frozen/a"),),
        conditions={"blur@3": {name: answers(name, items, skill / 2) for name, skill in skills.items()}},
        outside={"ood:noise": {name: answers(name, strange, 0.1) for name in skills}},
        guards={},
        selection_losses={},
    )


def wrong(table: Table) -> float:
    return float(((table.probs >= 0.5) != (np.asarray(table.items.targets) == 1)).any(axis=2).mean())


def test_errors_on_spoilt_inputs_are_items_with_any_wrong_label() -> None:
    case = labelled()
    rows = {row.quantity: row for row in conditions.ask(case) if row.versus and row.arm == "concat"}
    under = case.conditions["blur@3"]
    assert rows["worst_corruption"].provenance["error"] == pytest.approx(wrong(under["concat"]))
    levels = {(row.arm, row.quantity): row.value for row in conditions.ask(case) if not row.versus}
    assert levels["concat", "subset_accuracy"] == pytest.approx(1 - wrong(under["concat"]))
    assert conditions.silent(case) == {} and conditions.silent(
        replace(case, task=Task("regression", LABELS, "rmse", ()))
    )


def test_the_joint_energy_adds_up_over_labels() -> None:
    case = labelled()
    rows = {row.id: row for row in outside.ask(case) if row.quantity == "ood_auroc" and not row.versus}
    found = next(row for row in rows.values() if (row.arm, row.provenance["score"]) == ("concat", "joint_energy"))
    energies = [
        np.log1p(np.exp(table.logits)).sum(axis=2)
        for table in (case.tables["concat"], case.outside["ood:noise"]["concat"])
    ]
    truth = np.r_[np.ones(120), np.zeros(40)]
    wanted = np.mean([roc_auc_score(truth, np.concatenate(run)) for run in zip(*energies, strict=True)])
    assert found.value == pytest.approx(wanted)
    assert {row.provenance["score"] for row in rows.values()} == {"max_probability", "max_logit", "joint_energy"}


def test_the_worst_group_is_that_with_fewest_items_all_right() -> None:
    case = labelled()
    row = next(
        row for row in harm.ask(case) if row.quantity == "worst_group" and (row.arm, row.versus) == ("concat", None)
    )
    table = case.tables["concat"]
    right = ((table.probs >= 0.5) == (HELD == 1)).all(axis=2)
    by_run = [min(run[np.array(GROUPS) == name].mean() for name in ("g0", "g1", "g2")) for run in right]
    assert row.value == pytest.approx(np.mean(by_run))
