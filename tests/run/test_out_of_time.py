"""When time is up, what stays is what is fitted in every run, and what is made of such arms alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from plan.example_plan import arms, setting
from transfuse.plan.ladder import Ladder
from transfuse.plan.setting import Setting
from transfuse.run.run import finished_arms

CANDIDATES = {
    "joined": {"fuse": "features/concat"},
    "late": {"fuse": "features/gate"},
    "pooled": {"fuse": "outputs/convex", "of": ["a", "joined"]},
    "nested": {"fuse": "outputs/mean_prob", "of": ["pooled", "b"]},
    "lost": {"fuse": "outputs/mean_prob", "of": ["a", "late"]},
}


def left(made: Setting, done: dict[str, str]) -> tuple[Ladder, list[str]]:
    prepared: Any = SimpleNamespace(ladder=arms(made), setting=made, plan=SimpleNamespace(steps={}))
    walk: Any = SimpleNamespace(done=done)
    return finished_arms(prepared, walk)


def test_pools_stay_with_all_that_they_are_made_of():
    made = setting(candidates=CANDIDATES)
    done = {f"fit {name} {run.name}": "" for name in ("frozen/a", "frozen/b", "joined") for run in made.runs}
    kept, dropped = left(made, done)
    assert [arm.name for arm in kept.candidates] == ["joined", "pooled", "nested"]
    assert {"late", "lost"} <= set(dropped)
    assert not {"joined", "pooled", "nested", "ensemble"} & set(dropped)


def test_an_arm_that_one_run_lacks_is_dropped():
    made = setting(candidates=CANDIDATES)
    done = {f"fit {name} {made.runs[0].name}": "" for name in ("frozen/a", "frozen/b", "joined")}
    kept, _ = left(made, done)
    assert not kept.candidates and [arm.name for arm in kept.singles] == ["frozen/a"]
