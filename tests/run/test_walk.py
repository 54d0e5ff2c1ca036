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
            walk.finished(job)
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


def test_a_step_is_looked_at_once_however_many_ways_lead_to_it(tmp_path):
    """Forty storeys, each standing on the one below by two inputs: 2^40 ways down."""
    storeys = [step("0"), *(step(str(number), a=str(number - 1), b=str(number - 1)) for number in range(1, 40))]
    high = Plan({each.name: each for each in storeys}, ("39",), (), {"identity": "x"})
    asked: list[str] = []

    class Counting(Store):
        def has(self, key: str) -> bool:
            asked.append(key)
            return super().has(key)

    walk = Walk(high, Counting(tmp_path))
    ready = walk.ready(("39",))
    assert ready is not None
    assert list(ready) == ["0"]
    assert len(asked) == 1
    assert list(walk.ready(("39",)) or ()) == ["0"]
    walk.finished(ready["0"])
    assert list(walk.ready(("39",)) or ()) == ["1"]
    assert asked == [ready["0"].key, walk.jobs["1"].key]


def test_what_another_run_made_meanwhile_is_found_before_it_is_begun(tmp_path):
    walk, other = Walk(diamond(), Store(tmp_path)), Walk(diamond(), Store(tmp_path))
    ready = walk.ready(("end",)) or {}
    assert sorted(ready) == ["left", "right"]
    finish(other)
    assert all(walk.found(job) for job in ready.values())
    assert walk.ready(("end",)) is None
