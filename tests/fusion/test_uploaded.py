"""Merges from and to URLs: the bytes of the local merge, and never something that only looks whole."""

from __future__ import annotations

import json
import shutil

import fsspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from files.loopback import served
from transfuse.errors import UserError
from transfuse.files.remote import Remote, place
from transfuse.fusion import uploaded
from transfuse.fusion.streamed import MANIFEST, Sizes, merge_files
from transfuse.registry import method
from transfuse.source import ranged
from transfuse.source.ranged import UNFINISHED, reader_at
from transfuse.source.weights import INDEX

SIZES = Sizes(shard_bytes=4000)


@pytest.fixture
def memory(monkeypatch):
    """Blocks so small that tensors lie in files, and an empty store."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    monkeypatch.setattr(ranged, "BLOCK_BYTES", 1000)
    return system


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three models in folders of two shards with a configuration beside."""
    root = tmp_path_factory.mktemp("models")
    for number, name in enumerate(("a", "b", "base")):
        rng, folder = np.random.default_rng(number), root / name
        folder.mkdir()
        tensors = {f"layer{at}.weight": rng.normal(size=(40, 20)).astype(np.float32) for at in range(4)}
        tensors["layer0.num_batches_tracked"] = np.array(number, np.int64)
        for part in (0, 1):
            save_file(dict(list(tensors.items())[part::2]), folder / f"part{part}.safetensors")
        index = {key: f"part{place % 2}.safetensors" for place, key in enumerate(tensors)}
        (folder / INDEX).write_text(json.dumps({"weight_map": index}))
        (folder / "config.json").write_text('{"model_type": "tiny"}')
    return root


def sent(root, memory):
    """The same models behind URLs."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            memory.put_file(str(path), f"/{path.relative_to(root)}")


def content(out):
    """Name and bytes of all that lies in a folder here or there."""
    return {
        path.name: path.read(0, path.size()) if isinstance(path, Remote) else path.read_bytes()
        for path in out.glob("*")
    }


@pytest.mark.parametrize("name", ["mean", "ties"])
def test_from_urls_to_a_url_the_bytes_are_those_of_the_local_merge(name, root, memory, tmp_path):
    sent(root, memory)
    entry = method(f"weights/{name}")
    for out in ("folder", "file.safetensors"):
        base = entry.traits["needs_base"] or None
        near = merge_files(
            entry, {each: root / each for each in "ab"}, tmp_path / name / out, base=base and root / "base", sizes=SIZES
        )
        far = merge_files(
            entry,
            {each: place(f"memory://{each}") for each in "ab"},
            place(f"memory://{name}/{out}"),
            base=base and place("memory://base"),
            sizes=SIZES,
        )
        assert far == near
    assert content(place(f"memory://{name}/folder")) == content(tmp_path / name / "folder")
    assert len(content(tmp_path / name / "folder")) == 4 + 3
    there = place(f"memory://{name}/file.safetensors")
    assert there.read(0, there.size()) == (tmp_path / name / "file.safetensors").read_bytes()


def test_from_a_web_server_the_bytes_are_those_of_the_local_merge(root, tmp_path):
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    mean = method("weights/mean")
    merge_files(mean, {each: root / each for each in "ab"}, tmp_path / "near.safetensors")
    with served(files) as (address, _):
        merge_files(mean, {each: place(f"{address}/{each}") for each in "ab"}, tmp_path / "far.safetensors")
        with pytest.raises(UserError, match="nothing can be written to a web address"):
            merge_files(mean, {"a": root / "a"}, place(f"{address}/new"))
    assert (tmp_path / "far.safetensors").read_bytes() == (tmp_path / "near.safetensors").read_bytes()


def test_sources_and_what_is_there_are_never_overwritten(root, memory):
    sent(root, memory)
    mean, before = method("weights/mean"), {name: memory.cat_file(name) for name in memory.find("/")}
    given = {each: place(f"memory://{each}") for each in "ab"}
    with pytest.raises(UserError, match="would overwrite a source"):
        merge_files(mean, given, place("memory://b"))
    for out in ("memory://base", "memory://base/part0.safetensors"):
        with pytest.raises(UserError, match="exists already"):
            merge_files(mean, given, place(out))
    assert {name: memory.cat_file(name) for name in memory.find("/")} == before


@pytest.mark.parametrize(("out", "after"), [("new", 0), ("new", 3), ("new.safetensors", 0)])
def test_an_upload_that_breaks_leaves_nothing(out, after, root, memory, monkeypatch):
    sent(root, memory)
    before, put = set(memory.find("/")), Remote.put

    def breaks(self, source):
        if len(set(memory.find("/")) - before) - (out == "new") >= after:
            raise KeyboardInterrupt
        put(self, source)

    monkeypatch.setattr(Remote, "put", breaks)
    given = {each: place(f"memory://{each}") for each in "ab"}
    with pytest.raises(KeyboardInterrupt):
        merge_files(method("weights/mean"), given, place(f"memory://{out}"), sizes=SIZES)
    assert set(memory.find("/")) == before


def test_numbers_that_cannot_be_merged_leave_nothing_there(root, memory, tmp_path):
    sent(root, memory)
    shutil.copytree(root / "a", tmp_path / "bad")
    save_file({"layer0.weight": np.full((40, 20), np.nan, np.float32)}, tmp_path / "bad" / "part0.safetensors")
    index = {"weight_map": {"layer0.weight": "part0.safetensors"}}
    (tmp_path / "bad" / INDEX).write_text(json.dumps(index))
    before = set(memory.find("/"))
    with pytest.raises(UserError, match="NaN"):
        merge_files(method("weights/mean"), {"bad": tmp_path / "bad"}, place("memory://new"))
    assert set(memory.find("/")) == before


def test_a_merge_that_was_killed_is_told_from_a_whole_one_at_every_file_and_begun_anew(root, memory, monkeypatch):
    """Killed after so many files: nothing is cleaned up, as if the process were gone."""
    sent(root, memory)
    mean, given = method("weights/mean"), {each: place(f"memory://{each}") for each in "ab"}
    merge_files(mean, given, place("memory://whole"), sizes=SIZES)
    wanted, put, put_there = content(place("memory://whole")), Remote.put, []
    monkeypatch.setattr(Remote, "remove", lambda self: None)

    def killed(self, source):
        if len(put_there) == limit:
            raise KeyboardInterrupt
        put_there.append(self.name)
        put(self, source)

    monkeypatch.setattr(Remote, "put", killed)
    for limit in (0, 3, len(wanted) - 1):
        put_there.clear()
        with pytest.raises(KeyboardInterrupt):
            merge_files(mean, given, place(f"memory://cut{limit}"), sizes=SIZES)
        assert memory.isfile(f"/cut{limit}/{UNFINISHED}") and not memory.isfile(f"/cut{limit}/{INDEX}")
        with pytest.raises(UserError, match="has not ended"):
            reader_at(place(f"memory://cut{limit}"))
    monkeypatch.undo()
    memory.pipe_file("/cut0/old.safetensors", b"of another plan")
    merge_files(mean, given, place("memory://cut0"), sizes=SIZES)
    assert content(place("memory://cut0")) == wanted and MANIFEST in wanted


def test_a_path_is_written_to_as_it_is(tmp_path):
    with uploaded.uploaded(tmp_path / "out") as here:
        assert here == tmp_path / "out"
