"""Students in the plan: taught by the same run's teacher, beside themselves untaught, refused where nobody teaches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plan.example_plan import arms, plan, setting
from plan.test_graph import CHOSEN, keys
from transfuse.errors import UserError
from transfuse.plan.choices import parts
from transfuse.plan.exposures import Exposure
from transfuse.plan.graph import Given
from transfuse.plan.setting import RowBlock

TAUGHT = {"regime": "full", "objective": "distil", "teacher": "ensemble"}
STUDENT = {"of": ["a"], "train": TAUGHT}


DATA = {"read": "x", "extra": {"pool": {"take": 9}}}


def made(*, crossfit: bool = False, train: dict[str, Any] | None = None, **candidates: Any):
    facts = {"ladder": "quick", "candidates": candidates or {"s": STUDENT}, "train": train or {}, "data": DATA}
    found = setting(crossfit=crossfit, **facts)
    names = [*(run.name for run in found.runs), "final"]
    rows = dict.fromkeys(names, RowBlock("pool", "pool-judge", 9))
    pool = Exposure(
        "pool", {"extra": "pool"}, items_key="pool-items", covers=(RowBlock("items", "pool-rows", 9),), rows=rows
    )
    return replace(found, pools={"pool": pool})


def student(**changes: Any) -> dict[str, Any]:
    facts = {"of": ["a"], "train": {**TAUGHT, **changes}}
    facts["train"] = {key: value for key, value in facts["train"].items() if value is not None}
    return facts


def test_a_student_stands_beside_itself_untaught() -> None:
    ladder = arms(made())
    (taught,) = ladder.candidates
    control = next(arm for arm in ladder.fixed if arm.name == "s/untaught")
    assert (taught.form, taught.role, taught.teachers) == ("student", "candidate", ("ensemble",))
    assert (control.form, control.role, control.teachers) == ("single", "control", ())
    assert taught.schedule is not None and control.schedule is not None
    given, left = taught.schedule.record(), control.schedule.record()
    assert [name for name, _ in given.pop("objective")] == ["distil"]
    assert left.pop("objective") == (("supervised", {}),)
    assert given == left
    assert taught.reads == control.reads


def test_who_learns_from_mixed_or_drawn_rows_stands_beside_itself_without_and_costs_nothing_twice() -> None:
    candidates = {
        "plain": {"fuse": "features/concat"},
        "mixed": {"fuse": "features/concat", "train": {"regime": "frozen", "augment": "feature_mixup"}},
        "drawn": {"fuse": "features/concat", "train": {"regime": "frozen", "augment": "feature_sampling"}},
    }
    given = setting(candidates=candidates)
    ladder = arms(given)
    controls = {arm.name: arm for arm in ladder.fixed if arm.name.endswith("/untaught")}
    assert set(controls) == {"mixed/untaught", "drawn/untaught"}
    plain = next(arm for arm in ladder.candidates if arm.name == "plain")
    assert all(arm.schedule == plain.schedule and arm.role == "control" for arm in controls.values())
    known = keys(plan(given), CHOSEN | {"winner": "plain", "best_single": "frozen/a"})
    assert len({known[f"fit {name} s0"] for name in ("plain", *controls)}) == 1
    assert known["fit mixed s0"] != known["fit plain s0"]


@pytest.mark.parametrize("crossfit", [False, True])
def test_every_run_is_taught_by_its_own_teacher(crossfit) -> None:
    found = plan(made(crossfit=crossfit))
    names = ["f0", "f1", "final"] if crossfit else ["s0", "s1"]
    for run in names:
        waiting = [f"fit s {run}"]
        while waiting:
            step = found.steps[waiting.pop()]
            rows = step.inputs.get("rows")
            # Features are computed for blocks of rows that all runs share.
            if step.kind != "extract":
                assert rows == Given(f"rows-{run}")
            assert not step.opens_test
            waiting += [ref for ref in step.inputs.values() if isinstance(ref, str)]
        assert found.steps[f"fit s {run}"].inputs["teacher0"] == f"teach ensemble {run}"


def test_an_arm_without_teachers_has_the_inputs_it_had() -> None:
    found = plan(made())
    assert not [role for role in found.steps["fit s/untaught s0"].inputs if role.startswith(("teacher", "features"))]


@pytest.mark.parametrize("crossfit", [False, True])
def test_what_a_student_hears_of_a_pool_comes_from_its_own_runs_teacher_and_opens_nothing(crossfit) -> None:
    found = plan(made(crossfit=crossfit, s=student(stream="pool"), f=student(regime="frozen", stream="pool")))
    for run in ["f0", "f1", "final"] if crossfit else ["s0", "s1"]:
        step = found.steps[f"fit s {run}"]
        assert step.params["stream"] == "pool"
        assert step.inputs["pool|items"] == Given("pool-items") and step.inputs["pool|rows"] == Given("pool-judge")
        told = found.steps[str(step.inputs["pool|teacher0"])]
        assert told.inputs["fit"] == f"fit ensemble {run}" and not told.opens_test
        frozen = found.steps[f"fit f {run}"]
        assert found.steps[str(frozen.inputs["pool|x0|items"])].params["extra"] == "pool"
    first = "f0" if crossfit else "s0"
    assert not [role for role in found.steps[f"fit s/untaught {first}"].inputs if role.startswith("pool")]


def test_pseudo_labels_may_come_from_a_teacher_and_others_that_need_none_refuse_one() -> None:
    train = {"regime": "frozen", "objective": "pseudo_labels", "teacher": "ensemble", "stream": "pool"}
    found = plan(made(s={"fuse": "features/concat", "train": train}))
    step = found.steps["fit s s0"]
    told = found.steps[str(step.inputs["pool|teacher0"])]
    assert told.inputs["fit"] == "fit ensemble s0" and not told.opens_test
    assert found.steps[str(step.inputs["teacher0"])].kind == "teach"
    with pytest.raises(UserError, match="no objective of this training learns from a teacher"):
        plan(made(s={"fuse": "features/concat", "train": {**train, "objective": "coral"}}))


@pytest.mark.parametrize("objective", ["coral", "mmd", "dann", "pseudo_labels", "consistency", "adabn"])
@pytest.mark.parametrize("regime", ["full", "frozen"])
def test_some_objectives_hear_a_pool_without_a_teacher_and_stand_beside_the_same_training_without_it(objective, regime):
    found = plan(
        made(s={"fuse": "features/concat", "train": {"regime": regime, "objective": objective, "stream": "pool"}})
    )
    step, alone = found.steps["fit s s0"], found.steps["fit s/untaught s0"]
    assert step.inputs["pool|rows"] == Given("pool-judge") and step.params["stream"] == "pool"
    assert not [role for role in step.inputs if "teacher" in role]
    assert not [role for role in alone.inputs if role.startswith("pool")]
    assert alone.params["schedule"]["objective"] == (("supervised", {}),)


def test_a_teacher_that_knows_some_classes_is_heard_by_amalgamation_only() -> None:
    def with_half(objective: str):
        entry = {"spec": "demo:a", "classes": ["x", "y", *[None] * 8]}
        facts = {"sources": {"a": entry, "b": "demo:b"}, "ladder": "quick"}
        return arms(setting(**facts, candidates={"s": student(objective=objective, teacher="as_is/a")}))

    assert with_half("amalgamate").candidates[0].teachers == ("as_is/a",)
    with pytest.raises(UserError, match="objective: amalgamate"):
        with_half("distil")


def test_a_control_is_neither_economical_nor_shipped() -> None:
    found = plan(made())
    assert not [role for role in found.steps["economical"].inputs if "untaught" in role]
    (select,) = found.steps["ship"].selects
    assert "s" in select.options
    assert "s/untaught" not in select.options


def test_feature_teachers_give_the_features_that_are_there_already() -> None:
    found = plan(made(s=student(objective=["distil", "distil_features"], teacher=["frozen/b", "frozen/a"])))
    inputs = found.steps["fit s s0"].inputs
    assert inputs["features0_0|pool"] == found.steps["fit frozen/b s0"].inputs["x0|pool"]
    assert inputs["features1_0|pool"] == found.steps["fit frozen/a s0"].inputs["x0|pool"]
    assert {"teacher0", "teacher1"} <= set(inputs)


def test_a_student_may_teach_another_generation() -> None:
    ladder = arms(made(s=STUDENT, again=student(teacher="s")))
    known = {**ladder.arms(), **ladder.contenders}
    assert [arm.name for arm in parts(known["again"], known)] == ["again", "s", "frozen/a", "frozen/b"]


def test_controls_are_not_made_of_a_student() -> None:
    found = arms(setting(candidates={"s": STUDENT, "f": {"fuse": "features/concat"}}))
    assert [name for follower in found.followers for name in follower.options if name == "s"] == []
    assert "s" not in found.tuned_fusions


WRONG = {
    "did you mean|unknown": {"s": student(teacher="ensembel")},
    "stands later": {"s": student(teacher="s")},
    "stands later ": {"s": student(teacher="t"), "t": student(teacher="s")},
    "needs a teacher": {"s": {"fuse": "features/concat", "train": {"objective": "distil"}}},
    "no objective of this training": {"s": student(objective=None)},
    "unknown pool of items": {"s": student(stream="lake")},
    "hears rows without labels ": {"s": {"fuse": "features/concat", "train": {"stream": "pool"}}},
    "hears rows without labels  ": {"s": student(objective="distil_robust", stream="pool")},
    "needs items without labels": {"s": {"fuse": "features/concat", "train": {"objective": "coral"}}},
    "no network that could be taught ": {"s": {"fuse": "outputs/mean_prob", "train": {"stream": "pool"}}},
    "hears rows without labels": {"s": student(objective="distil_features", teacher=["frozen/a"], stream="pool")},
    "weighed by confidence": {"s": student(stream="pool", teachers="confidence")},
    "is not mixed": {"s": student(augment="mixup")},
    "keeps no features": {"s": student(objective="distil_features")},
    "each once": {"s": student(teacher=["ensemble", "ensemble"])},
    "no network that could be taught": {"s": {**STUDENT, "fuse": "outputs/mean_prob"}},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_taught_is_one_message(message) -> None:
    with pytest.raises(UserError, match=message.strip()) as caught:
        arms(made(**WRONG[message]))
    assert "candidates.s" in str(caught.value)


def test_a_whole_regime_cannot_distil() -> None:
    with pytest.raises(UserError, match="needs a teacher"):
        arms(setting(ladder="standard", candidates=["features/concat"], train={"full": {"objective": "distil"}}))
