"""Everything that must not be merged: one message that names tensor and source, exit code 2, and no file left."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from transfuse.doors import cli

GOOD = {
    "w": np.linspace(-1, 1, 200_000, dtype=np.float32).reshape(400, 500),
    "norm.running_mean": np.zeros(4, np.float32),
    "norm.running_var": np.ones(4, np.float32),
    "norm.num_batches_tracked": np.array(7),
    "ids": np.arange(3),
}
BASE = ["--base", "base.safetensors"]


def but(**changed):
    """The sound tensors, some changed; of a float array only its last number."""
    state = {name: array.copy() for name, array in GOOD.items()}
    for name, value in changed.items():
        key = name.replace("__", ".")
        if isinstance(value, float):
            state[key].reshape(-1)[-1] = value
        else:
            state[key] = value
    return state


# What the second source holds, the words, and what the one message must say.
BAD = {
    "NaN": (but(w=np.nan), ["mean"], ("'w' of 'b'", "NaN")),
    "infinity": (but(w=np.inf), ["mean"], ("'w' of 'b'", "infinity")),
    "NaN in a statistic": (but(norm__running_mean=np.nan), ["mean"], ("'norm.running_mean' of 'b'", "NaN")),
    "zero-sum weights": (GOOD, ["mean", "--weights", "0.5,-0.5"], ("sum to zero", "0.5")),
    "mismatched shapes": (but(w=np.ones((4, 5), np.float32)), ["mean"], ("'w': [400, 500] in 'a', [4, 5] in 'b'",)),
    "a tensor too few": ({"w": GOOD["w"]}, ["mean"], ("'ids' is missing in 'b'", "(4)")),
    "integers that are floats": (but(ids=np.zeros(3, np.float32)), ["mean"], ("'ids': I64 in 'a', F32 in 'b'",)),
    "floats that are integers": (but(w=np.ones((400, 500), np.int64)), ["mean"], ("'w': F32 in 'a', I64 in 'b'",)),
    "opposite directions": (but(w=-GOOD["w"]), ["slerp"], ("opposite directions", "'w'", "cosine -1")),
    "drop rate 1": (GOOD, ["dare", *BASE, "-p", "density=0"], ("density must be", "0.0001")),
    "a share that is none": (GOOD, ["dare", *BASE, "-p", "density=nan"], ("density must be", "nan")),
    "no base": (GOOD, ["ties"], ("weights/ties needs a base",)),
    "a base that is not there": (GOOD, ["ties", "--base", "gone.safetensors"], ("no such weight file", "gone")),
    "negative variances": (but(norm__running_var=-0.25), ["mean"], ("'norm.running_var' of 'b'", "down to -0.25")),
    "a result out of range": (
        but(w=np.full((400, 500), 3e38, np.float32)), ["mean", "--weights", "3,-2"], ("F32 cannot hold", "'w'")
    ),
    "statistics that files do not hold": (GOOD, ["fisher"], ("needs the statistic 'fisher'",)),
    "three where two are wanted": (GOOD, ["slerp", "c=base.safetensors"], ("exactly 2 sources",)),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "base"):
        save_file(GOOD, tmp_path / f"{name}.safetensors")
    return tmp_path


def ended(monkeypatch, *words):
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["transfuse", "merge", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code


@pytest.mark.parametrize("out", ["out.safetensors", "out"])
@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_merged_is_one_message_and_leaves_nothing(case, out, folder, monkeypatch, capsys):
    state, (method, *more), wanted = BAD[case]
    save_file(state, folder / "b.safetensors")
    before = sorted(Path().iterdir())
    assert ended(monkeypatch, method, "a.safetensors", "b.safetensors", *more, "--out", out) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("error: ") and "Traceback" not in told.err
    assert told.err.count("error:") == 1 and all(text in told.err for text in wanted), told.err
    assert sorted(Path().iterdir()) == before


def test_the_sound_files_do_merge_and_integers_are_taken_never_averaged(folder, monkeypatch):
    save_file(but(norm__num_batches_tracked=np.array(12), ids=np.array([9, 1, 2])), folder / "b.safetensors")
    assert ended(monkeypatch, "mean", "a.safetensors", "b.safetensors", "--out", "out.safetensors") == 0
    merged = load_file("out.safetensors")
    assert merged["ids"].tolist() == [9, 1, 2] and merged["norm.num_batches_tracked"] == 12
    assert np.array_equal(merged["w"], GOOD["w"])


def test_a_network_that_the_files_do_not_belong_to_is_named_before_anything_is_matched(folder, monkeypatch, capsys):
    save_file(GOOD, folder / "b.safetensors")
    words = ["mean", "a.safetensors", "b.safetensors", "--align", "weight_matching", "--arch", "demo:residual"]
    assert ended(monkeypatch, *words, "--out", "out.safetensors") == 2
    told = capsys.readouterr().err
    assert "none of this network" in told and "'features.0.weight' is missing in 'a'" in told
    assert not (folder / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a.safetensors", "b.safetensors"], ("the method comes first", "transfuse merge mean a.safetensors ...")),
        (["a.safetensors", "mean", "b.safetensors"], ("the method comes first",)),
        (["mean", "ties", "a.safetensors"], ("the method comes first", "transfuse merge ties A B")),
        (["maen", "a.safetensors", "b.safetensors"], ("unknown method 'maen'", "try: weights/mean")),
        (["mean", "a.safetensors", "--weights", "0.5", "0.5"], ("a number is no checkpoint", "--weights 0.5,0.5")),
    ],
)
def test_words_in_another_order_are_told_theirs(words, told, folder, monkeypatch, capsys):
    save_file(GOOD, folder / "b.safetensors")
    assert ended(monkeypatch, *words, "--out", "out.safetensors") == 2
    error = capsys.readouterr().err
    assert all(text in error for text in told), error


@pytest.mark.parametrize("out", ["merged.pt", "merged.bin", "deep/merged.ckpt"])
def test_no_folder_is_called_like_a_file_of_another_kind(out, folder, monkeypatch, capsys):
    save_file(GOOD, folder / "b.safetensors")
    assert ended(monkeypatch, "mean", "a.safetensors", "b.safetensors", "--out", out) == 2
    assert "--out merged.safetensors" in capsys.readouterr().err and not Path(out).exists()
