"""Compressed candidates in a plan: where they stand, what they follow, and what is refused before any work."""

from __future__ import annotations

import pytest

from plan.example_plan import arms, plan, setting
from transfuse.errors import UserError

GATE = {"gate": {"fuse": "features/gate"}}


def made(**more):
    return setting(candidates={**GATE, **more})


def test_a_compressed_fusion_is_a_candidate_and_a_compressed_single_a_baseline():
    found = arms(made(small={"compress": "prune", "of": "gate"}, thin={"compress": "bfloat16", "of": "a"})).arms()
    assert [(found[name].role, found[name].form, found[name].of) for name in ("small", "thin")] == [
        ("candidate", "fused", "gate"),
        ("baseline", "single", "frozen/a"),
    ]
    assert found["small"].members == ("a", "b") and found["small"].settings["ratio"] == 0.5


def test_what_follows_is_trained_on_and_chains_can_go_on():
    chained = {
        "small": {"compress": "prune", "of": "gate", "then": {"train": "full", "epochs": 2}},
        "tiny": {"compress": "quantise", "of": "small+tuned"},
    }
    found = arms(made(**chained)).arms()
    assert (found["small+tuned"].kind, found["small+tuned"].of, found["small+tuned"].schedule.epochs) == (
        "retrain", "small", 2,
    )  # fmt: skip
    steps = plan(made(**chained)).steps
    fit = steps["fit tiny s0"]
    assert fit.kind == "compress" and fit.inputs["member0"] == "fit small+tuned s0"
    assert steps["fit small+tuned s0"].inputs["member0"] == "fit small s0"
    assert set(steps["count tiny"].inputs.values()) == {"fit tiny s0", "fit tiny s1"}


def test_a_tuned_arm_that_is_compressed_is_fitted_even_where_nothing_else_is_tuned():
    found = arms(made(thin={"compress": "prune", "of": "tuned/b"}, less={"compress": "prune", "of": "tuned/gate"}))
    assert {"tuned/b", "thin"} <= {arm.name for arm in found.fixed}
    assert {"tuned/gate", "less"} <= {arm.name for arm in found.candidates}
    assert "tuned/b" in {arm.name for arm in found.ready} and found.arms()["tuned/b"].regime == "full"


def test_a_changed_member_changes_what_is_compressed_and_a_name_does_not():
    first = made(small={"compress": "prune", "of": "gate"})
    second = setting(candidates={"gate": {"fuse": "features/gate"}, "other": {"compress": "prune", "of": "gate"}})
    one, two = plan(first).steps["fit small s0"], plan(second).steps["fit other s0"]
    assert (one.params, one.digests) == (two.params, two.digests)
    assert one.inputs["member0"] == two.inputs["member0"] == "fit gate s0"


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"compress": "prun", "of": "gate"}, r"unknown compression[\s\S]*try: prune"),
        ({"compress": "prune", "of": "gate", "branch": "c"}, r"unknown branch 'c'[\s\S]*one of a, b"),
        ({"compress": "prune", "of": "gat"}, r"unknown arm[\s\S]*try: gate"),
        ({"compress": "prune", "of": "prior"}, "unknown arm 'prior'"),
        ({"compress": "prune"}, "names the one arm"),
        ({"compress": "prune", "of": ["gate", "a"]}, "names the one arm"),
        ({"compress": "prune", "of": "ensemble"}, "a pool of predictions, not a network"),
        ({"compress": "prune", "of": "gate", "ratio": 1.0}, "ratio must be a number from 0 to 0.95"),
        ({"compress": "quantise", "of": "gate", "bits": 3}, "bits must be 8, got 3"),
        ({"compress": "prune", "of": "gate", "amount": 0.5}, "unknown parameter"),
        ({"compress": "quantise", "of": "a", "spare": 0.1}, "`spare` chooses among the branches"),
        ({"compress": "prune", "of": "gate", "then": "frozen"}, "trained in full"),
        ({"compress": "prune", "of": "gate", "then": {"train": "full", "refresh": True}}, "nothing to refresh"),
        ({"compress": "quantise", "of": "gate", "then": "full"}, "cannot be trained on"),
        ({"compress": "magnitude", "of": "gate", "then": "full"}, "would fill its zeros"),
        ({"compress": "prune", "of": "gate", "fuse": "features/gate"}, "fused or compressed"),
        ({"fuse": "compress/prune", "of": ["a", "b"]}, "fuses nothing"),
    ],
)
def test_what_cannot_be_compressed_is_said(facts, says):
    with pytest.raises(UserError, match=says):
        arms(made(small=facts))


def test_training_on_is_refused_where_rows_that_choose_were_seen():
    small = {"compress": "prune", "of": "gate", "then": "full"}
    with pytest.raises(UserError, match="locked split"):
        plan(setting(candidates={**GATE, "small": small}, crossfit=True))
    found = plan(setting(candidates={**GATE, "small": {"compress": "prune", "of": "gate"}}, crossfit=True))
    assert found.steps["fit small f0"].params["final_fit"] is True


def test_the_winners_own_whole_is_judged_beside_it():
    steps = plan(made(small={"compress": "prune", "of": "gate"})).steps
    follows = [select.options for select in steps["evaluate"].selects if select.choice == "winner"]
    assert any("predict|uncompressed|gate|s0" in options.get("small", {}) for options in follows)


def test_a_pool_may_name_tuned_members_which_are_fitted_for_it():
    candidates = {"averaged": {"fuse": "outputs/mean_prob", "of": ["frozen/a", "tuned/b"]}, **GATE}
    candidates["both"] = {"fuse": "outputs/mean_prob", "of": ["tuned/gate", "averaged"]}
    ladder = arms(setting(candidates=candidates))
    found = ladder.arms()
    assert found["averaged"].members == ("frozen/a", "tuned/b")
    assert (found["tuned/b"].role, found["tuned/b"].regime) == ("baseline", "full")
    assert (found["tuned/gate"].role, found["tuned/gate"].regime) == ("candidate", "full")
    assert "tuned/b" in {arm.name for arm in ladder.ready}
    inputs = plan(setting(candidates=candidates)).steps["fit averaged s0"].inputs
    assert (inputs["member0"], inputs["member1"]) == ("fit frozen/a s0", "fit tuned/b s0")
    with pytest.raises(UserError, match="unknown arm 'tuned/z'"):
        arms(setting(candidates={"x": {"fuse": "outputs/mean_prob", "of": ["a", "tuned/z"]}}))
