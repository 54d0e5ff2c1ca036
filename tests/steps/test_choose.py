"""Choices: lowest loss over runs, the cheapest within the margin, failures left out, ties by name."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.steps import Context, choose
from transfuse.store import Artifact, Store


def fit(loss: float) -> Artifact:
    return Artifact({"selection": loss}, {})


def count(flops: float, parameters: int = 1) -> Artifact:
    return Artifact({"inference_flops": flops, "parameters": parameters}, {})


def chosen(rule: str, inputs: dict[str, Artifact], **params) -> dict:
    context = Context(Store(Path()), Path(), keys={role: f"key of {role}" for role in inputs})
    return choose.run({"rule": rule, **params}, inputs, context)[0]


def test_the_lowest_mean_over_runs_wins():
    inputs = {"fit|a|s0": fit(0.1), "fit|a|s1": fit(0.9), "fit|b|s0": fit(0.4), "fit|b|s1": fit(0.4)}
    assert chosen("lowest", inputs)["chosen"] == "b"


def test_the_choice_names_the_keys_of_what_it_chose():
    made = chosen("lowest", {"fit|a|s0": fit(0.1), "fit|b|s0": fit(0.4)})
    assert made["keys"] == {"s0": "key of fit|a|s0"}


def test_an_arm_that_failed_in_one_run_is_out():
    inputs = {
        "fit|a|s0": fit(0.1),
        "fit|a|s1": Artifact({"failed": "NaN"}, {}),
        "fit|b|s0": fit(0.4),
        "fit|b|s1": fit(0.4),
    }
    assert chosen("lowest", inputs)["chosen"] == "b"


def test_nothing_left_is_no_choice():
    assert chosen("lowest", {"fit|a|s0": Artifact({"failed": "NaN"}, {})})["chosen"] is None


@given(st.permutations(["c", "a", "b"]))
@settings(deadline=None, max_examples=6)
def test_ties_do_not_depend_on_the_order_of_inputs(order):
    assert chosen("lowest", {f"fit|{name}|s0": fit(0.5) for name in order})["chosen"] == "a"


def economical(margin: float) -> str:
    inputs = {"fit|dear|s0": fit(1.00), "fit|cheap|s0": fit(1.04), "fit|cheapest|s0": fit(1.2)}
    inputs |= {"count|dear|": count(9), "count|cheap|": count(3), "count|cheapest|": count(1)}
    return chosen("economical", inputs, margin=margin)["chosen"]


def test_the_cheapest_within_the_margin_is_economical():
    assert [economical(margin) for margin in (0.0, 0.05, 0.5)] == ["dear", "cheap", "cheapest"]


def test_the_automatic_margin_is_five_percent_of_the_best_loss():
    assert economical("auto") == "cheap"


def answer(name: str | None) -> Artifact:
    return Artifact({"chosen": name}, {})


def of_choices(rule: str, *answers: str | None, **params) -> str | None:
    return chosen(rule, {f"choice|{number}": answer(name) for number, name in enumerate(answers)}, **params)["chosen"]


def test_the_first_answer_among_those_named_is_followed():
    assert of_choices("first", "pool", "concat", among=["concat", "gate"]) == "concat"
    assert of_choices("first", "gate", "concat", among=["concat", "gate"]) == "gate"
    assert of_choices("first", "pool", None, among=["concat"]) is None


def test_two_answers_are_followed_together_or_not_at_all():
    assert of_choices("together", "concat", "frozen/a", joint=" with ") == "concat with frozen/a"
    assert of_choices("together", None, "frozen/a", joint=" with ") is None
