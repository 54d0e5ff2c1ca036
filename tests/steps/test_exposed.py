"""Exposed predictions become tables beside the clean ones, with the same runs; failures are told, not hidden."""

from __future__ import annotations

import numpy as np

from transfuse.data.items import table
from transfuse.evaluation import temperature
from transfuse.evaluation.tables import match_runs
from transfuse.steps._exposed import exposed
from transfuse.store import Artifact
from transfuse.types import ItemTable

RNG = np.random.default_rng(0)
ITEMS = ItemTable(("c", "f", "h"), np.array([0, 1, 0]))
JUDGED = (np.array([2, 5, 7]), ITEMS)
OUTSIDE = table([f"o{row}" for row in range(6)], ["strange"] * 6, [f"{row:032d}" for row in range(6)])
NAMES = {"best_single": "frozen/a", "best_fusion": "concat"}


def answer(rows: list[int], heat: float = 2.0) -> Artifact:
    scores = RNG.normal(size=(len(rows), 3)).astype(np.float32)
    return Artifact({"scale": "logit", "temperature": heat}, {"rows": np.array(rows), "scores": scores})


def test_conditions_and_outside_sets_are_told_apart():
    inputs = {
        "predict|concat|concat|s0": answer([2, 5, 7]),
        "expose|best_fusion|concat|s0|blur@3": answer([2, 5, 7]),
        "expose|best_fusion|concat|s0|ood:x": answer([1, 4]),
        "outside|ood:x": Artifact(OUTSIDE.to_json(), {}),
    }
    found = exposed(inputs, JUDGED, NAMES, None)
    assert set(found.conditions) == {"blur@3"} and set(found.outside) == {"ood:x"}
    outside = found.outside["ood:x"]["concat"]
    assert outside.items.ids == ("o1", "o4") and outside.runs == ("s0",) and not np.any(outside.items.targets)
    assert found.rows["ood:x"].tolist() == [1, 4]
    assert found.conditions["blur@3"]["concat"].items is ITEMS


def test_rows_come_in_the_items_order_after_the_runs_own_temperature():
    shuffled = answer([7, 2, 5], heat=3.0)
    found = exposed({"expose|best_single|frozen/a|s0|blur@1": shuffled}, JUDGED, NAMES, None)
    wanted = temperature.apply(shuffled["scores"].astype(np.float64), "logit", 3.0)
    np.testing.assert_allclose(found.conditions["blur@1"]["frozen/a"].probs[0], wanted[[1, 2, 0]], rtol=1e-6)


def test_folds_are_put_together_and_meet_the_inside_rows_run_by_run():
    inputs = {
        "expose|best_fusion|concat|f0|blur@3": answer([7]),
        "expose|best_fusion|gate|f1|blur@3": answer([2, 5]),
        "expose|best_fusion|concat|f0|ood:x": answer([4]),
        "expose|best_fusion|gate|f1|ood:x": answer([0, 1]),
        "outside|ood:x": Artifact(OUTSIDE.to_json(), {}),
    }
    found = exposed(inputs, JUDGED, {"best_fusion": "best_fusion"}, {"f0": 0, "f1": 0})
    inside, outside = found.conditions["blur@3"]["best_fusion"], found.outside["ood:x"]["best_fusion"]
    assert inside.probs.shape == (1, 3, 3) and outside.probs.shape == (1, 3, 3)
    assert match_runs(inside, outside)[0] == inside.runs


def test_an_arm_that_fails_under_a_condition_is_told_and_the_others_stay():
    inputs = {
        "expose|best_single|frozen/a|s0|blur@5": Artifact({"failed": "NaN"}, {}),
        "expose|best_fusion|concat|s0|blur@5": answer([2, 5, 7]),
    }
    found = exposed(inputs, JUDGED, NAMES, None)
    assert found.failed == {"frozen/a on blur@5": "NaN"} and set(found.conditions["blur@5"]) == {"concat"}


def test_a_place_that_is_not_judged_is_not_exposed():
    found = exposed({"expose|ensemble|ensemble|s0|blur@5": answer([2, 5, 7])}, JUDGED, NAMES, None)
    assert found.conditions == {} and found.failed == {}


def test_attacked_rows_are_some_of_the_judged_ones_and_stand_apart_from_conditions():
    def attacked(rows: list[int]) -> Artifact:
        found = answer(rows)
        return Artifact({**found.meta, "attack": True}, found.arrays)

    inputs = {
        "expose|best_fusion|concat|s0|pgd@0.03": attacked([7, 2]),
        "expose|best_single|frozen/a|s0|pgd@0.03~b": attacked([2, 7]),
        "expose|best_fusion|concat|s0|blur@3": answer([2, 5, 7]),
    }
    found = exposed(inputs, JUDGED, NAMES, None)
    assert set(found.conditions) == {"blur@3"} and set(found.attacks) == {"pgd@0.03", "pgd@0.03~b"}
    items = found.attacks["pgd@0.03"]["concat"].items
    assert items.ids == ("c", "h") and items.targets.tolist() == [0, 0]
