from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.full_case import full_case
from evaluation.judged import changed
from transfuse.evaluation.case import Case
from transfuse.evaluation.questions import conditions
from transfuse.evaluation.statistics.corruption import condition_parts, corruption_error, relative_corruption_error
from transfuse.evaluation.tables import Table
from transfuse.evaluation.verdict import judge
from transfuse.types import Evidence, Undefined


def rows_of(case: Case) -> dict[str, Evidence]:
    found = conditions.ask(case)
    assert len({row.id for row in found}) == len(found)
    return {row.id: row for row in found}


def errors(table: Table) -> float:
    return float((table.probs.argmax(axis=2) != table.items.targets).mean())


@pytest.mark.parametrize(
    ("name", "expected"),
    [("noise@3", ("noise", 3.0)), ("pgd@0.0157", ("pgd", 0.0157)), ("fog", ("fog", None)), ("a@b", ("a@b", None))],
)
def test_conditions_are_names_at_levels(name: str, expected: tuple[str, float | None]) -> None:
    assert condition_parts(name) == expected


def test_ratios_by_hand() -> None:
    means = np.array([[0.2, 0.4], [0.3, 0.2], [0.1, 0.1]])
    assert corruption_error(means[:2]) == pytest.approx((0.5 + 1.5) / 2)
    assert relative_corruption_error(means) == pytest.approx((0.1 / 0.3 + 0.2 / 0.1) / 2)
    assert np.isnan(corruption_error(np.array([[0.2, 0.0]])))
    assert np.isnan(relative_corruption_error(np.array([[0.2, 0.1], [0.1, 0.1]])))


def test_levels_and_differences_of_every_condition() -> None:
    case = full_case()
    rows = rows_of(case)
    for name, tables in case.conditions.items():
        level, other = rows[f"accuracy:concat:test:{name}"], rows[f"accuracy:frozen/a:test:{name}"]
        assert level.value == pytest.approx(1 - errors(tables["concat"]))
        gap = rows[f"accuracy:concat-vs-frozen/a:test:{name}"]
        assert gap.value == pytest.approx(float(level.value) - float(other.value))  # pyright: ignore[reportArgumentType]
        assert gap.low is not None and gap.provenance["corruption"] == name.split("@")[0]
        assert f"log_loss:concat-vs-frozen/a:test:{name}" in rows


def test_mean_corruption_error_in_one_run_by_its_definition() -> None:
    case = full_case(runs=1)
    rows = rows_of(case)
    ratios, lost = [], []
    clean = {arm: errors(case.tables[arm]) for arm in ("concat", "frozen/a")}
    for kind in ("blur", "noise"):
        sums = {
            arm: sum(errors(case.conditions[f"{kind}@{level}"][arm]) for level in (1, 5))
            for arm in ("concat", "frozen/a")
        }
        ratios.append(sums["concat"] / sums["frozen/a"])
        lost.append((sums["concat"] - 2 * clean["concat"]) / (sums["frozen/a"] - 2 * clean["frozen/a"]))
    assert rows["corruption_error:concat-vs-frozen/a:test:clean"].value == pytest.approx(np.mean(ratios))
    assert rows["relative_corruption_error:concat-vs-frozen/a:test:clean"].value == pytest.approx(np.mean(lost))


def collapsed(case: Case) -> Case:
    """The winner knows nothing under noise at level 5, the best single nine items in ten."""
    table, other = (case.conditions["noise@5"][arm] for arm in ("concat", "frozen/a"))
    wrong = np.eye(4)[(case.items.targets + 1) % 4]
    some = np.random.default_rng(0).permutation(len(case.items)) % 10 == 0
    fair = np.where(some[:, None], wrong, np.eye(4)[case.items.targets])
    tables = {
        **case.conditions["noise@5"],
        "concat": replace(table, probs=np.broadcast_to(wrong, table.probs.shape)),
        "frozen/a": replace(other, probs=np.broadcast_to(fair, other.probs.shape)),
    }
    return changed(case, conditions={**case.conditions, "noise@5": tables})


def test_a_collapse_is_named_behind_the_average() -> None:
    case = collapsed(full_case())
    row = rows_of(case)["worst_corruption:concat-vs-frozen/a:test:clean"]
    assert row.value == pytest.approx(10.0)
    assert (row.provenance["condition"], row.provenance["collapsed"]) == ("noise@5", True)
    assert "noise@5" in row.provenance["sentence"] and "10.0 times as often" in row.provenance["sentence"]
    flags = [flag for flag in judge(case).verdict.flags if row.id in flag.evidence]
    assert [flag.flag for flag in flags] == ["harm"]
    calm = rows_of(full_case())["worst_corruption:concat-vs-frozen/a:test:clean"]
    assert not calm.provenance["collapsed"]
    assert not [flag for flag in judge(full_case()).verdict.flags if calm.id in flag.evidence]


def test_a_reference_that_never_errs_is_undefined() -> None:
    case = full_case(runs=1)
    perfect = np.eye(4)[case.items.targets][None]
    found = {
        name: {**tables, "frozen/a": replace(tables["frozen/a"], probs=perfect)}
        for name, tables in case.conditions.items()
    }
    rows = rows_of(changed(case, conditions=found))
    for name in ("corruption_error", "relative_corruption_error", "worst_corruption"):
        assert isinstance(rows[f"{name}:concat-vs-frozen/a:test:clean"].value, Undefined)


def test_claims_stay_those_of_clean_inputs() -> None:
    case = collapsed(full_case())
    found, calm = judge(case).verdict.claims, judge(changed(case, conditions={})).verdict.claims
    assert found == calm


def test_nothing_is_asked_without_conditions() -> None:
    assert conditions.ask(changed(full_case(), conditions={})) == []
    alone = changed(full_case(), conditions={"fog@2": {"concat": full_case().tables["concat"]}})
    assert {row.quantity for row in conditions.ask(alone)} == {"log_loss", "accuracy"}
