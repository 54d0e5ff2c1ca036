"""Sources whose heads know some of the classes: arms of their own, pooled by what each knows, shipped as judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plan.example_plan import arms, plan, setting
from transfuse.data.items import table
from transfuse.errors import UserError
from transfuse.fusion import outputs_lift
from transfuse.fusion.contract import About
from transfuse.registry import method
from transfuse.steps import Context, as_is, pool
from transfuse.store import Artifact, Store

CONTEXT = Context(Store(Path()), Path())
CLASSES = ("a", "b", "c", "d")


def with_classes(**given):
    """A setting of two sources whose heads have these classes (names), or state them (a recipe's `classes`)."""
    made = setting(sources={name: {"spec": f"demo:{name}", **facts} for name, (_, facts) in given.items()}, seeds=1)
    cards = {
        name: replace(made.cards[name], classes=names, class_count=len(names) or 10)
        for name, (names, _) in given.items()
    }
    return replace(made, cards=cards, classes=CLASSES)


def test_a_head_that_knows_some_classes_is_an_arm_that_says_which():
    found = {arm.name: arm for arm in arms(with_classes(a=(("b", "x", "a"), {}), b=(("d", "c", "b", "a"), {}))).fixed}
    assert found["as_is/a"].columns == (1, -1, 0)
    assert found["as_is/b"].columns == ()


def test_one_class_of_one_name_may_be_chance_unless_the_recipe_says_so():
    made = with_classes(a=(("a", "x"), {}), b=(("a", "x"), {"classes": {"x": None}}))
    assert [arm.name for arm in arms(made).fixed if arm.kind == "as_is"] == ["as_is/b"]
    assert ("as_is/a", "the source's own head does not name the target's classes") in arms(made).not_measured


def test_a_mapping_moves_an_arms_key_and_no_other():
    same = with_classes(a=(("a", "b", "c", "d"), {}), b=(("a", "b", "c", "d"), {}))
    moved = with_classes(a=(("a", "b", "c", "d"), {"classes": {"a": "b", "b": "a"}}), b=(("a", "b", "c", "d"), {}))
    before, after = plan(same).steps, plan(moved).steps
    assert "columns" not in before["fit as_is/a s0"].params
    assert after["fit as_is/a s0"].params["columns"] == [1, 0, 2, 3]
    assert before["fit as_is/b s0"].params == after["fit as_is/b s0"].params


def test_a_member_whose_names_do_not_match_is_refused_with_the_nearest():
    made = with_classes(a=(("A", "bee"), {}), b=(CLASSES, {}))
    recipe = made.recipe.model_copy(
        update={"candidates": {"e": {"fuse": "outputs/vote", "of": ["as_is/a", "as_is/b"]}}}
    )
    with pytest.raises(UserError, match=r"'a' \(nearest: A\)") as caught:
        arms(replace(made, recipe=recipe))
    assert "candidates.e" in str(caught.value) and "own,target" in str(caught.value)


def test_a_merge_as_it_is_knows_what_any_of_its_sources_knows():
    given = {"a": ((), {"classes": ["a", "b", None, None] + [None] * 6})}
    given["b"] = ((), {"classes": [None, None, "c", "d"] + [None] * 6})
    made = with_classes(**given)
    merged = {"m": {"fuse": "weights/mean", "of": ["a", "b"], "train": "none"}}
    (arm,) = arms(replace(made, recipe=made.recipe.model_copy(update={"candidates": merged}))).candidates
    assert arm.columns == (0, 1, 2, 3, -1, -1, -1, -1, -1, -1)


def logits(seed: int, count: int = 300):
    """Two heads with two own columns each, sure of rows of theirs; targets [N]."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 4, count)
    given = rng.normal(size=(2, count, 2))
    for number in range(2):
        mine = targets // 2 == number
        given[number, mine, targets[mine] % 2] += 4.0
    return given, targets


def fitted(seed: int = 0):
    """The two heads as fitted arms, their inputs, and the targets."""
    given, targets = logits(seed)
    count = len(targets)
    items = table([f"i{row}" for row in range(count)], [CLASSES[t] for t in targets], ["0" * 32] * count)
    rows = {
        "train": np.arange(0), "fit0": np.arange(0), "held0": np.arange(0, 120), "calibrate": np.arange(120, 200),
        "judge": np.arange(200, count),
    }  # fmt: skip
    shared = {"items": Artifact(items.to_json(), {}), "rows": Artifact(None, rows)}
    inputs = [
        {**shared, "x0|all": Artifact({}, {"rows": np.arange(count), "block": block.astype(np.float32)})}
        for block in given
    ]
    params = [{"classes": list(CLASSES), "columns": columns} for columns in ([0, 1], [2, 3])]
    found = [Artifact(*as_is.run(one, each, CONTEXT)) for one, each in zip(params, inputs, strict=True)]
    return found, inputs, params, targets


def test_what_choices_rest_on_never_saw_its_row_and_judged_rows_are_answered_alike():
    found, inputs, params, targets = fitted()
    first = found[0]
    assert first.meta["known"] == [True, True, False, False] and first.meta["scale"] == "probability"
    assert np.allclose(first["held"].sum(axis=1), 1.0)
    judged = as_is.predict(params[0], {**inputs[0], "fit": first}, CONTEXT)
    assert first.meta["selection"] < np.log(4)
    losses = -np.log(judged[np.arange(100), targets[200:]])
    assert losses.mean() == pytest.approx(first.meta["selection"], abs=0.15)


@pytest.mark.parametrize("name", ["mean_prob", "convex", "vote"])
def test_pools_hear_each_member_about_its_own_classes(name):
    members, inputs, params, targets = fitted(1)
    given = {**{key: inputs[0][key] for key in ("items", "rows")}, "member0": members[0], "member1": members[1]}
    entry = method(f"outputs/{name}")
    asked = {"method": entry.full_name, "settings": entry.settings({})}
    made = Artifact(*pool.run(asked, given, CONTEXT))
    assert made.meta.get("known") is None and "state/lift.known" in made.arrays
    judged = [
        Artifact({"scale": "probability", "temperature": 1.0}, {
            "rows": np.arange(200, 300), "scores": as_is.predict(one, {**each, "fit": fit}, CONTEXT)})
        for one, each, fit in zip(params, inputs, members, strict=True)
    ]  # fmt: skip
    pooled, _ = pool.predict(asked, {**given, "fit": made, "member0": judged[0], "member1": judged[1]}, CONTEXT)
    right = (pooled.argmax(axis=1) == targets[200:]).mean()
    alone = [(each["scores"].argmax(axis=1) == targets[200:]).mean() for each in judged]
    assert right > 0.85 and max(alone) < 0.75


def test_a_cascade_hears_calibrated_answers_of_members_that_know_some():
    members, _, _, targets = fitted(2)
    stacked = np.stack([each["held"] for each in members])
    about = About(np.array([each.meta["known"] for each in members]), np.array([1.0, 5.0]))
    entry = method("outputs/cascade")
    state = outputs_lift.fit(entry, stacked, targets[:120], {}, about)
    pooled, used = outputs_lift.run(entry, state, stacked)
    assert outputs_lift.KNOWN not in state
    assert used[:, :].sum(axis=0).min() >= 1 and used.mean() < 1
    assert (pooled.argmax(axis=1) == targets[:120]).mean() > 0.8
