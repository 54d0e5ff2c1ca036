"""The words of `transfuse merge`, the right ways and the wrong ones."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import transfuse
from transfuse.doors.cli import app
from transfuse.doors.merging import named_method, named_sources, numbers, parameters
from transfuse.errors import UserError
from transfuse.registry import shelf

RUN = CliRunner()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, value in (("a", 2.0), ("b", 4.0), ("base", 1.0)):
        save_file({"w": np.full((3,), value, np.float32)}, tmp_path / f"{name}.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def merged(*words: str) -> list[float]:
    result = RUN.invoke(app, ["merge", *words, "--out", "out.safetensors"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return load_file("out.safetensors")["w"].tolist()


def test_words_become_a_merge(folder):
    assert merged("mean", "a.safetensors", "b.safetensors") == [3.0] * 3
    assert merged("weights/mean", "a.safetensors", "b.safetensors", "--weights", "3,1") == [2.5] * 3
    words = ("task_arithmetic", "a.safetensors", "b.safetensors", "--base", "base.safetensors")
    assert merged(*words) == [5.0] * 3
    assert merged(*words, "-p", "scale=0.5") == [3.0] * 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["maen", "a.safetensors"], "unknown method 'maen'"),
        (["mean", "nothing.safetensors"], "no such weight file"),
        (["mean", "a.safetensors", "a.safetensors"], "two sources would be called 'a'"),
        (["mean", "a.safetensors", "--weights", "much"], "weights are numbers"),
        (["mean", "a.safetensors", "b.safetensors", "--weights", "1,-1"], "sum to zero"),
        (["ties", "a.safetensors", "--base", "base.safetensors", "-p", "density=2"], "density must be"),
        (["ties", "a.safetensors", "--base", "base.safetensors", "-p", "densty=0.2"], "densty"),
        (["ties", "a.safetensors", "--base", "base.safetensors", "-p", "density"], "key=value"),
        (["ties", "a.safetensors"], "needs a base"),
        (["slerp", "a.safetensors"], "exactly 2 sources"),
    ],
)
def test_what_is_wrong_is_one_message_and_no_file(folder, words, message):
    with pytest.raises(UserError, match=message):
        RUN.invoke(app, ["merge", *words, "--out", "out.safetensors"], catch_exceptions=False)
    assert not (folder / "out.safetensors").exists()


def test_words_are_read_as_what_the_method_declares():
    ties = named_method("ties")
    assert parameters(ties, ["density=0.3", "election_weights=true", "trim_scope=tensor"]) == {
        "density": 0.3, "election_weights": True, "trim_scope": "tensor",
    }  # fmt: skip
    assert parameters(ties, ["density=much"]) == {"density": "much"}


def test_sources_are_named_by_their_files_or_by_hand(tmp_path):
    assert list(named_sources(["x/one.safetensors", "b=y/one.safetensors"])) == ["one", "b"]
    assert numbers(None) is None and numbers("1,-2.5") == [1.0, -2.5]


def test_specs_and_adapters_are_sources(folder):
    (folder / "lora").mkdir()
    save_file(
        {"l.lora_A.weight": np.ones((1, 2), np.float32), "l.lora_B.weight": np.ones((3, 1), np.float32)},
        folder / "lora" / "adapter_model.safetensors",
    )
    (folder / "lora" / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 2, "r": 1}')
    save_file({"l.weight": np.zeros((3, 2), np.float32)}, folder / "net.safetensors")
    result = RUN.invoke(app, ["merge", "mean", "net.safetensors+lora", "net.safetensors", "--out", "new.safetensors"])
    assert result.exit_code == 0 and (load_file("new.safetensors")["l.weight"] == 1).all()
    given = named_sources(["demo:residual", "b=torchvision:resnet18@random"])
    assert list(given) == ["residual", "b"]
    assert "features.0.weight" in given["residual"].reader.names()


@pytest.fixture
def planted(folder):
    """A network, the same in another order, and one of another start, as files."""
    import torch

    from transfuse.demo.networks import build
    from transfuse.fusion.turning import drawn, turned
    from transfuse.seeds import stream
    from transfuse.source.hidden_units.groups import find_groups

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net, other = build("residual").eval(), build("residual").eval()
    pair = {"n": net, "o": other}
    states = {name: {key: value.numpy() for key, value in one.state_dict().items()} for name, one in pair.items()}
    groups = find_groups(net, torch.rand(2, 1, 12, 12))
    turn = drawn(groups, stream("planted"))
    states["p"] = {key: np.array(turned(groups, turn, key, value), order="C") for key, value in states["n"].items()}
    for name, state in states.items():
        save_file(state, folder / f"{name}.safetensors")
    return states


def said(*words: str) -> str:
    result = RUN.invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_inspecting_what_has_nothing_in_common_gives_no_numbers(folder):
    save_file({"other": np.ones((2, 2), np.float32)}, folder / "c.safetensors")
    told = said("inspect", "a.safetensors", "c.safetensors")
    assert "a and c: no weights in common" in told and "cosine" not in told
    assert "a and b: no cosine, distance 0.7071" in said("inspect", "a.safetensors", "b.safetensors")


def test_of_two_sets_of_weights_the_one_taken_and_the_way_to_the_other_are_told(folder):
    import torch

    weights = {"w": torch.ones(3)}
    torch.save({"model": weights, "ema": weights, "epoch": {"at": 3}}, folder / "e.pt")
    told = said("inspect", "e.pt")
    assert "taken from: 'model', which lies beside ema, epoch" in told
    assert "'ema' holds weights too: torch.save(checkpoint['ema'], FILE)" in told and "'epoch' holds" not in told


def test_inspecting_several_tells_their_lineage(planted):
    assert "lineage: align first" in said("inspect", "n.safetensors", "p.safetensors")
    assert "lineage: do not merge" in said("inspect", "n.safetensors", "o.safetensors")
    assert "moved from the base by 0.0000" in said("inspect", "n.safetensors", "--base", "n.safetensors")
    assert '"verdict": "align first"' in said("inspect", "n.safetensors", "p.safetensors", "--json")


def test_aligned_files_of_one_network_merge_to_it(planted):
    words = ("merge", "mean", "n.safetensors", "p.safetensors", "--out", "m.safetensors", "--align", "weight_matching")
    assert "aligned by weight_matching" in said(*words, "--arch", "demo:residual")
    merged_state = load_file("m.safetensors")
    assert all(np.allclose(merged_state[name], array, atol=1e-6) for name, array in planted["n"].items())
    with pytest.raises(UserError, match="cannot be aligned"):
        RUN.invoke(app, list(words), catch_exceptions=False)


def test_a_file_with_a_word_before_each_name_is_told_to_lose_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {"a.w": np.ones(2, np.float32), "b.w": np.ones(2, np.float32)}
    save_file(own, "plain.safetensors")
    save_file({f"model.net.{name}": array for name, array in own.items()}, "boxed.safetensors")
    save_file({"other": np.ones(2, np.float32)}, "other.safetensors")
    for words, hint in (
        (
            ["plain.safetensors", "boxed.safetensors"],
            "every name of 'boxed' begins with 'model.net.', and the rest fits",
        ),
        (["plain.safetensors", "--base", "boxed.safetensors"], "every name of the base begins with 'model.net.'"),
        (["plain.safetensors", "other.safetensors"], "merge checkpoints of one architecture"),
    ):
        done = RUN.invoke(app, ["merge", "mean", *words, "--out", "o.safetensors"])
        assert isinstance(done.exception, UserError) and str(done.exception.hint).startswith(hint)


@pytest.mark.parametrize(
    ("method", "word", "hint"),
    [
        ("slerp", "t=", "t=0.3 is --weights 0.7,0.3"),
        ("slerp", "t=0.3", "t=0.3 is --weights 0.7,0.3"),
        ("mean", "weight=0.5", "--weights 0.5,0.5"),
        ("mean", "weights=1,2", "an option of its own"),
        ("ties", "lambda=0.5", "called scale"),
        ("slerp", "lambda=0.5", "None"),
    ],
)
def test_what_others_call_a_parameter_is_told_with_what_it_is_here(method: str, word: str, hint: str):
    with pytest.raises(UserError, match=f"unknown parameter of weights/{method} '{word.split('=')[0]}'") as found:
        parameters(shelf("fusion/weights")[method], [word])
    assert hint in str(found.value.hint)


def test_a_parameter_without_a_value_is_told_with_those_that_there_are():
    with pytest.raises(UserError, match=r"(?s)key=value.*parallel=….*got: t"):
        parameters(shelf("fusion/weights")["slerp"], ["t"])


def test_python_tells_the_same():
    with pytest.raises(UserError, match=r"weights=\[0\.7, 0\.3\]"):
        transfuse.merge("weights/slerp", [{"w": np.ones(2)}, {"w": np.ones(2)}], t=0.3)
