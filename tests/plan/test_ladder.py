"""The ladder asks for what isolates something, and says what it leaves out."""

from __future__ import annotations

import pytest

from plan.example_plan import arms, card, setting
from transfuse.errors import UserError
from transfuse.plan.ladder import ladder


def names(made) -> set[str]:
    return set(arms(made).arms())


def test_quick_has_prior_frozen_singles_ensemble_and_the_default_fusers():
    assert names(setting()) == {"prior", "frozen/a", "frozen/b", "ensemble", "concat", "gate"}


def test_quick_tunes_nothing_and_says_so():
    found = arms(setting())
    assert not found.tuned_singles
    assert not found.follower("scratch")
    assert "scratch" in dict(found.not_measured)


def test_standard_readies_a_tuned_arm_for_every_single_and_frozen_fusion():
    found = arms(setting(ladder="standard"))
    assert {arm.name for arm in found.tuned_singles.values()} == {"tuned/a", "tuned/b"}
    assert {arm.name for arm in found.tuned_fusions.values()} == {"tuned/concat", "tuned/gate"}
    assert all(arm.random == arm.members for arm in found.follower("scratch").values())


def test_every_member_of_a_fusion_gets_a_random_twin():
    made = arms(setting(count=3))
    assert {name: made.follower(f"random/{name}")["concat"].random for name in "abc"} == {
        "a": ("a",),
        "b": ("b",),
        "c": ("c",),
    }


def test_copies_have_as_many_branches_as_the_fusion_on_different_views():
    copied = arms(setting(count=3)).follower("copies")["concat with frozen/a"]
    assert [read.view for read in copied.reads] == ["plain", "mirror", "flip"]
    assert {read.member for read in copied.reads} == {"a"}


def test_a_source_whose_head_fits_is_also_taken_as_it_is():
    made = setting()
    cards = {**made.cards, "a": card("a", classes=("x", "y", "z", "w"))}
    found = ladder(made.recipe, cards, made.classes)
    assert "as_is/a" in found.arms()
    assert "as_is/b" in dict(found.not_measured)


def test_one_source_has_no_ensemble_and_no_controls_but_a_reason():
    found = arms(setting(count=1))
    assert "ensemble" not in found.arms()
    assert {"ensemble", "copies"} <= set(dict(found.not_measured))


def test_every_arm_of_a_regime_has_the_same_schedule():
    found = arms(setting(ladder="standard", train={"full": {"epochs": 3}}))
    frozen = [arm.schedule for arm in (*found.singles, *found.candidates)]
    full = [arm.schedule for arm in (*found.tuned_singles.values(), *found.tuned_fusions.values())]
    assert all(each == frozen[0] for each in frozen) and all(each == full[0] for each in full)
    assert frozen[0] != full[0] and full[0] is not None and full[0].epochs == 3


def test_structure_cuts_early_and_ignores_the_sources_own_taps():
    made = setting(
        candidates={"shared": {"fuse": "structure/share"}}, sources={"a": {"spec": "demo:a", "taps": ["map"]}}
    )
    (arm,) = arms(made).candidates
    assert {read.tap for read in arm.reads} == {"early"}


def test_a_named_cut_is_taken():
    made = setting(candidates={"shared": {"fuse": "structure/share", "cut": {"a": "stem"}}})
    (arm,) = arms(made).candidates
    assert {read.member: read.tap for read in arm.reads} == {"a": "stem", "b": "early"}


def test_a_merge_is_one_source_read_by_a_linear_head():
    (arm,) = arms(setting(candidates={"soup": {"fuse": "weights/mean", "weights": [1, 2]}})).candidates
    assert (arm.form, arm.members, len(arm.reads)) == ("soup", ("a", "b"), 1)
    assert arm.merge["weights"] == [1, 2]


def test_pools_name_sources_or_arms():
    given = {"both": {"fuse": "outputs/mean_prob", "of": ["a", "gate"]}, "gate": {"fuse": "features/gate"}}
    with pytest.raises(UserError, match="unknown arm 'gate'"):
        arms(setting(candidates=given))
    found = arms(setting(candidates=dict(reversed(given.items()))))
    assert found.arms()["both"].members == ("frozen/a", "gate")


@pytest.mark.parametrize(
    ("candidates", "word"),
    [
        ({"ensemble": {"fuse": "features/gate"}}, "already the name"),
        ({"x": {"of": ["a"]}}, "names its method"),
        ({"x": {"fuse": "features/gate", "of": []}}, "lists what is fused"),
        ({"x": {"fuse": "features/gate", "train": "frozzen"}}, "unknown regime"),
        ({"x": {"fuse": "features/gate", "train": {"regime": "partial"}}}, "until"),
        ({"x": {"fuse": "features/gate", "taps": {"q": ["map"]}}}, "unknown member 'q'"),
        ({"x": {"fuse": "structure/share", "cut": {"a": "vector"}}}, "fuses maps"),
        ({"x": {"fuse": "features/gate", "taps": {"a": ["logits"]}}}, "fuses features, not logits"),
    ],
)
def test_wrong_candidates_are_refused(candidates, word):
    with pytest.raises(UserError, match=word):
        arms(setting(candidates=candidates))
