"""Merges in a plan: what a candidate may say, the twin that is trained afterwards, and whose rows a merge rests on."""

from __future__ import annotations

import pytest

from plan.example_plan import arms, card, plan, setting
from transfuse.errors import UserError
from transfuse.plan.ladder import ladder
from transfuse.plan.merges import merge_files
from transfuse.registry import method, shelf


def soup(**facts):
    return {"soup": {"fuse": "weights/mean", "of": ["a", "b"], **facts}}


def merge_steps(made):
    return {name: step for name, step in plan(made).steps.items() if step.kind == "merge"}


def test_everything_a_merge_says_reaches_its_record():
    facts = {"base": "c", "align": "weight_matching", "weights": "greedy", "statistics": "moments", "tries": 7}
    (arm,) = arms(setting(count=3, candidates=soup(**facts))).candidates
    assert arm.merge == {
        "method": "weights/mean", "settings": {}, "weights": "greedy_soup", "base": "c", "align": "weight_matching",
        "statistics": "moments", "counters": "largest", "repair": "auto", "tries": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"base": "d"}, "unknown source 'd'"),
        ({"align": "weights"}, "unknown way of aligning 'weights'"),
        ({"weights": "gready"}, "unknown way of choosing weights 'gready'"),
        ({"weights": {"by": "gready"}}, "unknown way of choosing weights 'gready'"),
        ({"weights": {"by": "greedy", "strickt": True}}, "unknown parameter of choosers/greedy_soup 'strickt'"),
        ({"fuse": "weights/fisher", "weights": "adamerging"}, "its weights cannot be learned"),
        ({"repair": "always"}, "unknown repair 'always'"),
        ({"tries": 0}, "how many merges a chooser may try"),
        ({"path": 3}, "`path` is yes or no"),
        ({"fuse": "weights/task_arithmetic"}, "needs a base"),
        ({"train": "none"}, "name their classes"),
        ({"fuse": "features/concat", "align": "weight_matching"}, "merges no weights"),
        ({"fuse": "features/concat", "weights": [0.5, 0.5]}, "merges no weights"),
        ({"fuse": "outputs/mean_prob", "train": "full"}, "trains, cuts and merges nothing"),
        ({"cut": "map"}, "connects nothing"),
        ({"taps": {"a": "map"}}, "connects nothing"),
    ],
)
def test_what_a_merge_cannot_be_is_refused_before_any_work(facts, message):
    with pytest.raises(UserError, match=message):
        arms(setting(candidates=soup(**facts)))


def test_a_chooser_may_be_given_settings():
    (arm,) = arms(setting(candidates=soup(weights={"by": "adamerging", "layers": True}))).candidates
    assert arm.merge is not None
    assert (arm.merge["weights"], arm.merge["chooser"]) == ("adamerging", {"layers": True})
    (plain,) = arms(setting(candidates=soup(weights="adamerging"))).candidates
    assert plain.merge is not None and "chooser" not in plain.merge


def test_a_path_is_walked_between_two_sources_and_never_without_being_asked_for():
    (arm,) = arms(setting(candidates=soup(path=True))).candidates
    assert arm.merge is not None and arm.merge["path"] is True
    (other,) = arms(setting(candidates=soup(path=False))).candidates
    assert other.merge is not None and "path" not in other.merge
    three = {"soup": {"fuse": "weights/mean", "of": ["a", "b", "c"], "path": True}}
    with pytest.raises(UserError, match="from one source to another"):
        arms(setting(count=3, candidates=three))


def test_then_adds_a_twin_that_is_trained_from_the_same_merge():
    found = arms(setting(candidates=soup(then={"train": "full", "epochs": 1}))).candidates
    assert [arm.name for arm in found] == ["soup", "soup+tuned"]
    assert found[1].merge == found[0].merge and (found[1].regime, found[1].schedule.epochs) == ("full", 1)
    with pytest.raises(UserError, match="belongs to methods of weights/"):
        arms(setting(candidates={"pair": {"fuse": "outputs/mean_prob", "then": "full"}}))


def test_a_merge_with_its_own_head_is_read_at_its_logits():
    made = setting(candidates=soup(train="none"))
    cards = {name: card(name, classes=("x", "y", "z")) for name in "ab"}
    found = ladder(made.recipe, cards, made.classes)
    (arm,) = found.candidates
    assert (arm.kind, arm.form, arm.reads[0].tap) == ("as_is", "soup", "logits")
    lost = found.follower("without/a")["soup"]
    assert (lost.members, lost.merge, lost.reads[0].member) == (("b",), None, "b")


def test_seeds_share_a_merge_and_folds_do_not():
    (step,) = merge_steps(setting(candidates=soup())).values()
    assert {role: ref.key for role, ref in step.inputs.items()} == {
        "card0": "card-a", "card1": "card-b", "items": "items-key", "rows": "rows-s0",
    }  # fmt: skip
    folds = merge_steps(setting(candidates=soup(), crossfit=True))
    assert sorted(step.inputs["rows"].key for step in folds.values()) == ["rows-f0", "rows-f1", "rows-final"]


def test_the_base_enters_by_its_card():
    (step,) = merge_steps(setting(count=3, candidates=soup(base="c"))).values()
    assert step.inputs["base"].key == "card-c" and "base" not in step.params["merge"]


def test_the_files_a_merge_runs_are_in_its_key():
    made = {"method": "weights/fisher", "weights": "greedy_soup", "align": "activation_matching"}
    statistics = shelf("fusion/statistics")
    wanted = [method("weights/fisher"), statistics["fisher"], shelf("fusion/align")["activation_matching"]]
    wanted += [statistics["activations"], shelf("choosers")["greedy_soup"]]
    assert merge_files(made) == tuple(entry.digest for entry in wanted)
    assert merge_files(None) == ()
