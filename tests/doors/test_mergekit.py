"""mergekit's YAML: what both have is merged in its meaning, everything else is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from transfuse.doors.cli import app
from transfuse.doors.mergekit import translated
from transfuse.errors import UserError

MODELS = [{"model": "a", "parameters": {"weight": 1.0}}, {"model": "b", "parameters": {"weight": 0.5}}]


def config(name, **more):
    return {"merge_method": name, "models": MODELS, **more}


def test_linear_task_arithmetic_and_slerp_are_ours():
    found = translated(config("linear"), where="t")
    assert (found.method, found.sources, found.weights, found.base) == ("mean", {"a": "a", "b": "b"}, [1.0, 0.5], None)
    found = translated(config("task_arithmetic", base_model="base", parameters={"lambda": 0.3}), where="t")
    assert (found.base, found.settings) == ("base", {"scale": 0.3})
    found = translated(config("slerp", base_model="b", parameters={"t": 0.25}), where="t")
    assert (found.sources, found.weights) == ({"base": "b", "other": "a"}, [0.75, 0.25])


def test_ties_takes_the_settings_that_give_its_numbers():
    found = translated(config("ties", base_model="base", parameters={"density": 0.4}), where="t")
    assert found.settings == {
        "trim_scope": "tensor", "kept": "one", "election_weights": True, "divisor": "weights", "density": 0.4,
    }  # fmt: skip
    found = translated(config("ties", base_model="base", parameters={"normalize": False, "lambda": 2}), where="t")
    assert (found.settings["divisor"], found.settings["scale"]) == ("none", 2.0)


def test_dare_model_stock_and_task_arithmetic_have_its_meaning():
    found = translated(config("dare_linear", base_model="base", parameters={"density": 0.5}), where="t")
    assert (found.method, found.settings) == ("dare", {"rescale": "l1", "density": 0.5})
    found = translated(config("dare_linear", base_model="base", parameters={"rescale": False}), where="t")
    assert found.settings == {"rescale": "none", "density": 1.0}
    assert translated(config("model_stock", base_model="base"), where="t").settings == {"hold": False}
    normalised = {"lambda": 3, "normalize": True}
    found = translated(config("task_arithmetic", base_model="base", parameters=normalised), where="t")
    assert found.settings == {"scale": 2.0}  # of weights 1 and 0.5


def test_a_base_among_the_models_adds_nothing():
    models = [{"model": "base"}, *MODELS]
    found = translated({"merge_method": "task_arithmetic", "models": models, "base_model": "base"}, where="t")
    assert (list(found.sources), found.weights) == (["a", "b"], [1.0, 0.5])


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (["x/model.safetensors", "y/model.safetensors"], ["model0", "model1"]),
        (["hub/net-1.0", "hub/net-1.5"], ["net-1.0", "net-1.5"]),
        (["a", "a"], ["model0", "model1"]),
        (["my net", "other=net"], ["my_net", "other_net"]),
    ],
)
def test_every_model_is_merged_whatever_it_is_called(models, names):
    found = translated({"merge_method": "linear", "models": [{"model": model} for model in models]}, where="t")
    assert found.sources == dict(zip(names, models, strict=True))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (config("della", base_model="base"), "'della' is not one of ours"),
        (config("linaer"), "unknown merge_method 'linaer'"),
        ({"models": MODELS}, "no mergekit configuration"),
        (config("linear", slices=[]), "'slices' is not read"),
        (config("linear", tokenizer_source="union"), "'tokenizer_source' is not read"),
        (config("linear", dtype="bfloat16"), "first source's type"),
        (config("linear", parameters={"normalize": False}), "normalize: False"),
        (config("ties", base_model="base", parameters={"rescale": True}), "`rescale: true` is not"),
        (config("slerp", base_model="a", parameters={"t": 0.5, "normalize": True}), "`normalize: True` is not"),
        (
            {"merge_method": "ties", "base_model": "c", "models": [{"model": "a", "parameters": {"weight": -1}}]},
            "a negative one would turn",
        ),
        (config("slerp", base_model="a", parameters={"t": [0, 0.5, 1]}), "a gradient over layers"),
        (config("ties", base_model="a", parameters={"epsilon": 1}), "unknown parameter 'epsilon'"),
        ({"merge_method": "linear", "models": [{"model": "a", "parameters": {"weight": [{"value": 1}]}}]}, "gradient"),
        ({"merge_method": "linear"}, "lists no model"),
    ],
)
def test_what_is_not_shared_is_refused_by_name(given, message):
    with pytest.raises(UserError, match=message):
        translated(given, where="t")


def test_the_command_reads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in (("a", 2.0), ("b", 8.0)):
        (tmp_path / name).mkdir()
        save_file({"w": np.full(3, value, np.float32)}, tmp_path / name / "model.safetensors")
    text = "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 2}}]"
    (tmp_path / "m.yaml").write_text(text)
    result = CliRunner().invoke(app, ["merge", "--config", "m.yaml", "--out", "o.safetensors"], catch_exceptions=False)
    assert result.exit_code == 0 and load_file("o.safetensors")["w"].tolist() == [6.0] * 3
    for words in (["--config", "m.yaml"], ["--out", "x"]):
        with pytest.raises(UserError):
            CliRunner().invoke(app, ["merge", *words], catch_exceptions=False)


@pytest.mark.parametrize(
    "words", [["mean"], ["--align", "weight_matching"], ["-p", "density=1"], ["--counters", "sum"]]
)
def test_what_a_configuration_would_leave_unheard_is_refused(words, tmp_path):
    words = ["merge", *words, "--config", str(tmp_path / "m.yaml"), "--out", str(tmp_path / "x")]
    with pytest.raises(UserError, match=r"says all of a merge"):
        CliRunner().invoke(app, words, catch_exceptions=False)
