"""Merging files: the same numbers as in memory, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch

from transfuse.errors import UserError
from transfuse.fusion import unfinished
from transfuse.fusion.streamed import INDEX, MANIFEST, Given, Sizes, merge_files
from transfuse.fusion.weights_lift import merge_states
from transfuse.registry import method
from transfuse.source.ranged import reader_at

MEAN = method("weights/mean")


def state(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "embed": rng.normal(size=(300, 40)).astype(np.float32),
        "half": rng.normal(size=(7, 5)).astype(np.float16),
        "norm.num_batches_tracked": np.array(3 + seed, np.int64),
        "empty": np.zeros((0, 4), np.float32),
    }


@pytest.fixture
def files(tmp_path):
    found = {}
    for number, name in enumerate(("a", "b", "base")):
        found[name] = tmp_path / f"{name}.safetensors"
        save_file(state(number), found[name])
    return found


def two(files):
    return {name: files[name] for name in ("a", "b")}


@pytest.mark.parametrize("name", ["mean", "slerp", "task_arithmetic", "ties", "dare", "model_stock", "ema", "tsv"])
@pytest.mark.parametrize("workers", [1, 3])
def test_files_give_what_memory_gives_bit_by_bit(name, workers, files, tmp_path):
    entry = method(f"weights/{name}")
    base = files["base"] if entry.traits["needs_base"] else None
    merge_files(entry, two(files), tmp_path / "out.safetensors", base=base, sizes=Sizes(workers=workers))
    loaded = {key: dict(sorted(load_file(path).items())) for key, path in files.items()}
    wanted = merge_states(entry, {k: loaded[k] for k in ("a", "b")}, base=loaded["base"] if base else None)
    found = load_file(tmp_path / "out.safetensors")
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[tensor], wanted[tensor]) for tensor in wanted)
    assert all(found[tensor].dtype == wanted[tensor].dtype for tensor in wanted)


def test_bfloat16_is_rounded_once_as_torch_rounds(tmp_path):
    torch.manual_seed(0)
    tensors = [torch.randn(4000).bfloat16() for _ in range(2)]
    for name, tensor in zip("ab", tensors, strict=True):
        save_torch({"w": tensor}, tmp_path / f"{name}.safetensors")
    merge_files(MEAN, {n: tmp_path / f"{n}.safetensors" for n in "ab"}, tmp_path / "out.safetensors")
    from safetensors.torch import load_file as load_torch

    wanted = torch.stack([tensor.double() for tensor in tensors]).mean(dim=0).to(torch.bfloat16)
    assert torch.equal(load_torch(tmp_path / "out.safetensors")["w"], wanted)


def test_a_folder_of_shards_is_read_and_written(files, tmp_path):
    for name in "ab":
        whole, folder = load_file(files[name]), tmp_path / name
        folder.mkdir()
        save_file({"embed": whole["embed"]}, folder / "one.safetensors")
        save_file({key: value for key, value in whole.items() if key != "embed"}, folder / "two.safetensors")
        (folder / "config.json").write_text('{"model_type": "tiny"}')
        weights = {key: "one.safetensors" if key == "embed" else "two.safetensors" for key in whole}
        (folder / INDEX).write_text(json.dumps({"weight_map": weights}))
    manifest = merge_files(MEAN, {n: tmp_path / n for n in "ab"}, tmp_path / "out", sizes=Sizes(shard_bytes=20_000))
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert len(set(index["weight_map"].values())) == 2 and set(index["weight_map"]) == set(state(0))
    assert json.loads((tmp_path / "out" / MANIFEST).read_text()) == manifest
    for name, found in manifest["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == found
    assert (tmp_path / "out" / "config.json").read_text() == '{"model_type": "tiny"}'
    merge_files(MEAN, two(files), tmp_path / "out.safetensors")
    wanted = load_file(tmp_path / "out.safetensors")
    for shard in set(index["weight_map"].values()):
        assert all(np.array_equal(value, wanted[key]) for key, value in load_file(tmp_path / "out" / shard).items())


def test_a_pytorch_file_goes_in_by_the_safe_path(files, tmp_path):
    torch.save({key: torch.from_numpy(value) for key, value in load_file(files["b"]).items()}, tmp_path / "b.pt")
    merge_files(MEAN, {"a": files["a"], "b": tmp_path / "b.pt"}, tmp_path / "mixed.safetensors")
    merge_files(MEAN, two(files), tmp_path / "plain.safetensors")
    mixed, plain = load_file(tmp_path / "mixed.safetensors"), load_file(tmp_path / "plain.safetensors")
    assert all(np.array_equal(mixed[key], plain[key]) for key in plain)


def left(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir() if "out" in path.name)


@pytest.mark.parametrize("out", ["out.safetensors", "out"])
def test_numbers_that_are_none_leave_nothing_behind(files, tmp_path, out):
    broken = state(1)
    broken["embed"][200, 3] = np.nan
    save_file(broken, files["b"])
    with pytest.raises(UserError, match="'embed' of 'b' holds NaN"):
        merge_files(MEAN, two(files), tmp_path / out)
    assert left(tmp_path) == []


def test_a_result_too_large_for_its_type_leaves_nothing_behind(files, tmp_path):
    with pytest.raises(UserError, match="F16 cannot hold"):
        merge_files(MEAN, two(files), tmp_path / "out.safetensors", weights=[1e6, -1e6 + 1])
    assert left(tmp_path) == []


def test_what_does_not_fit_is_found_before_a_byte_is_written(files, tmp_path):
    other = state(1) | {"extra": np.zeros(2, np.float32)}
    other["embed"] = np.zeros((2, 2), np.float32)
    save_file(other, files["b"])
    with pytest.raises(UserError) as caught:
        merge_files(MEAN, two(files), tmp_path / "out.safetensors")
    assert "(2)" in str(caught.value) and "'extra' of 'b'" in str(caught.value) and "[2, 2] in 'b'" in str(caught.value)
    assert left(tmp_path) == []


def test_an_old_output_stays_until_the_new_one_is_whole(files, tmp_path):
    merge_files(MEAN, two(files), tmp_path / "out.safetensors")
    before = (tmp_path / "out.safetensors").read_bytes()
    broken = state(1)
    broken["half"][0, 0] = np.inf
    save_file(broken, files["b"])
    with pytest.raises(UserError):
        merge_files(MEAN, two(files), tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_bytes() == before


def test_files_are_merged_where_no_room_can_be_promised(files, tmp_path, monkeypatch):
    """As on macOS."""
    merge_files(MEAN, two(files), tmp_path / "plain.safetensors")
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    merge_files(MEAN, two(files), tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "plain.safetensors").read_bytes()


def test_no_signal_is_sent_where_it_would_be_more_than_a_question(monkeypatch):
    system = SimpleNamespace(name="nt", getpid=os.getpid, kill=lambda *_: pytest.fail("a signal was sent"))
    monkeypatch.setattr(unfinished, "os", system)
    assert unfinished._running("7")


@pytest.mark.parametrize("out", ["out", "out.safetensors"])
def test_a_disk_that_refuses_is_told_of_the_file_that_it_refused(out, files, tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    sources = two(files) | {"b": Given(given := reader_at(files["b"]), (files["b"],), "b")}
    with monkeypatch.context() as patched:
        patched.setattr(given, "read", broken, raising=False)
        with pytest.raises(OSError, match="Input/output"):
            merge_files(MEAN, sources, tmp_path / out)
    for name in ("pwrite", "posix_fallocate", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, broken, raising=False)
            with pytest.raises(UserError, match="output cannot be written") as caught:
                merge_files(MEAN, two(files), tmp_path / out)
            assert caught.value.where == str(tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors", "base.safetensors"]


def test_a_source_is_never_overwritten(files):
    with pytest.raises(UserError, match="would overwrite a source"):
        merge_files(MEAN, two(files), files["a"])
    with pytest.raises(UserError, match="would overwrite a source"):
        merge_files(method("weights/task_arithmetic"), two(files), files["base"], base=files["base"])


def test_a_folder_that_exists_is_not_touched(files, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists already"):
        merge_files(MEAN, two(files), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_shard_is_named(files, tmp_path):
    (tmp_path / "lame").mkdir()
    (tmp_path / "lame" / INDEX).write_text(json.dumps({"weight_map": {"w": "gone.safetensors"}}))
    with pytest.raises(UserError, match="no such weight file"):
        merge_files(MEAN, {"a": tmp_path / "lame"}, tmp_path / "out.safetensors")


def test_the_file_says_how_it_was_made(files, tmp_path):
    from safetensors import safe_open

    manifest = merge_files(MEAN, two(files), tmp_path / "out.safetensors", weights=[3, 1])
    with safe_open(tmp_path / "out.safetensors", framework="np") as opened:
        assert json.loads(opened.metadata()["transfuse.merge"]) == manifest
    (file,) = manifest["sources"]["a"]["files"]
    assert manifest["weights"] == [3.0, 1.0] and file["file"] == "a.safetensors"
    assert file["sha256"] == hashlib.sha256(files["a"].read_bytes()).hexdigest()
    assert str(tmp_path) not in json.dumps(manifest)


def test_safetensors_are_merged_without_torch(files, tmp_path):
    code = (
        "import sys; from pathlib import Path; from transfuse.fusion.streamed import merge_files;"
        "from transfuse.registry import method;"
        f"d = Path({str(tmp_path)!r});"
        "merge_files(method('weights/slerp'), {n: d / f'{n}.safetensors' for n in 'ab'}, d / 'out.safetensors');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
