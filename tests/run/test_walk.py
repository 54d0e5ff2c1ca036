"""The walk computes what is wanted and nothing else; what follows a choice waits for it."""

from __future__ import annotations

from transfuse.plan.graph import Plan, Select, Step
from transfuse.run.engine import Walk
from transfuse.store import Store


def plan(**steps: Step) -> Plan:
    return Plan(steps, ("end",), (), {"identity": "x"})


def step(name: str, kind: str = "choose", selects: tuple[Select, ...] = (), **inputs: str) -> Step:
    return Step(name, kind, {"name": name}, inputs, selects)


def diamond() -> Plan:
    return plan(
        left=step("left"),
        right=step("right"),
        pick=step("pick", left="left", right="right"),
        after_left=step("after_left", x="left"),
        after_right=step("after_right", x="right"),
        unused=step("unused"),
        end=step("end", selects=(Select("pick", {"left": {"x": "after_left"}, "right": {"x": "after_right"}}),)),
    )


def finish(walk: Walk, names: set[str] | None = None) -> list[str]:
    """Run everything that becomes ready; the order in which it did."""
    order = []
    while (ready := walk.ready(("end",))) is not None:
        for name, job in sorted(ready.items()):
            order.append(name)
            walk.store.put(job.key, {"chosen": "right" if name == "pick" else None})
    return order


def test_only_the_chosen_branch_is_computed(tmp_path):
    order = finish(Walk(diamond(), Store(tmp_path)))
    assert order == ["left", "right", "pick", "after_right", "end"]


def test_a_second_walk_finds_everything(tmp_path):
    finish(Walk(diamond(), Store(tmp_path)))
    assert Walk(diamond(), Store(tmp_path)).ready(("end",)) is None


def test_a_lost_result_is_ready_again_and_what_stands_on_it_is_kept(tmp_path):
    first = Walk(diamond(), Store(tmp_path))
    finish(first)
    first.store.discard(first.done["after_right"])
    again = Walk(diamond(), Store(tmp_path))
    assert finish(again) == ["after_right"]
    assert again.done == first.done


def test_inputs_are_the_keys_of_what_was_used(tmp_path):
    walk = Walk(diamond(), Store(tmp_path))
    finish(walk)
    assert walk.inputs("end") == {"x": walk.done["after_right"]}
