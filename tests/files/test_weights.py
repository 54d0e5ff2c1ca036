"""Weight files of strangers: sound ones are read, broken ones refused before anything is allocated, none is run."""

from __future__ import annotations

import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from transfuse.errors import UnsafeFileError, UserError
from transfuse.files.pickles import judge
from transfuse.files.weights import describe, load_pickle, load_state, safetensors_header

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2], dtype=torch.int64)}


def write(path, header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + body)
    return path


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_a_sound_header_says_where_every_tensor_lies(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors", metadata={"k": "v"})
    header = safetensors_header(tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    assert header.metadata == {"k": "v"}
    for name, dtype in (("a", "<f4"), ("b", "<i8")):
        stored = header.tensors[name]
        numbers = np.frombuffer(content[stored.begin : stored.end], dtype).reshape(stored.shape)
        assert np.array_equal(numbers, STATE[name].numpy())


BROKEN = [
    ({"a": entry(offsets=(0, 8))}, b"\0" * 8, "does not take 8 bytes"),
    ({"a": entry(), "b": entry(offsets=(2, 6))}, b"\0" * 6, "overlap"),
    ({"a": entry(), "b": entry(offsets=(6, 10))}, b"\0" * 10, "gap"),
    ({"a": entry()}, b"\0" * 2, "overlap"),
    ({"a": entry()}, b"\0" * 9, "gap"),
    ({"a": entry(shape=(2**40, 2**40), offsets=(0, 4))}, b"\0" * 4, "does not take"),
    ({"a": entry(shape=(-1, -1))}, b"\0" * 4, "shape"),
    ({"a": entry(shape=(True,))}, b"\0" * 4, "shape"),
    ({"a": entry(shape=(1.0,))}, b"\0" * 4, "shape"),
    ({"a": entry(offsets=(4, 0))}, b"\0" * 4, "does not take"),
    ({"a": entry(dtype="F31")}, b"\0" * 4, "F31"),
    ({"a": entry(dtype=["F32"])}, b"\0" * 4, "F32"),
    ({"a": {"dtype": "F32"}}, b"", "lacks"),
    ({"__metadata__": {"k": 1}}, b"", "metadata"),
    ([], b"", "no JSON object"),
    (b'{"a": 1, "a": 2}', b"", "repeated"),
    (b"{" * 100_000, b"", "no JSON"),
    (b"[" * 100_000, b"", "no JSON"),
    (b"\xff\xfe{}", b"", "no JSON"),
]


@pytest.mark.parametrize(("header", "body", "says"), BROKEN)
def test_a_header_that_disagrees_with_itself_is_refused(tmp_path, header, body, says):
    with pytest.raises(UserError, match=says):
        safetensors_header(write(tmp_path / "w.safetensors", header, body))


@pytest.mark.parametrize("length", [0, 3, 2**63, 2**64 - 1])
def test_a_header_length_beyond_the_file_is_refused(tmp_path, length):
    with pytest.raises(UserError, match="claims"):
        safetensors_header(write(tmp_path / "w.safetensors", b"{}" if length else b"", length=length))


@settings(deadline=None, max_examples=60)
@given(position=st.integers(0, 119), value=st.integers(0, 255))
def test_any_changed_byte_is_read_as_safetensors_reads_it_or_refused(tmp_path_factory, position, value):
    content = bytearray(save(STATE))
    content[position % len(content)] = value
    path = tmp_path_factory.mktemp("fuzz") / "w.safetensors"
    path.write_bytes(content)
    try:
        header = safetensors_header(path)
    except UserError:
        return
    # What we let pass, the reference reader must be able to read, with the same shapes.
    loaded = load_state(path)
    assert {name: tuple(tensor.shape) for name, tensor in loaded.items()} == {
        n: s.shape for n, s in header.tensors.items()
    }


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
def test_state_dicts_are_found_in_either_format(tmp_path, wrap, legacy):
    torch.save(wrap(STATE), tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    loaded = load_pickle(tmp_path / "w.pt")
    assert list(loaded) == ["a", "b"]
    assert all(torch.equal(loaded[name], STATE[name]) for name in STATE)


def test_a_common_prefix_is_removed_and_a_partial_one_is_not(tmp_path):
    torch.save({"module.a": STATE["a"]}, tmp_path / "all.pt")
    torch.save({"module.a": STATE["a"], "b": STATE["b"]}, tmp_path / "some.pt")
    assert list(load_pickle(tmp_path / "all.pt")) == ["a"]
    assert list(load_pickle(tmp_path / "some.pt")) == ["module.a", "b"]


@pytest.mark.parametrize(
    "content", [{"a": 3}, {}, [torch.zeros(1)], torch.zeros(2), {"state_dict": {"a": "b"}}, {0: torch.zeros(1)}]
)
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match="state dict|more than tensors"):
        load_pickle(tmp_path / "w.pt")


class Payload:
    """A pickle of it runs a command when loaded in full."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def harmful(path, target, how):
    if how == "bare":
        path.write_bytes(pickle.dumps(Payload(target), protocol=4))
    else:
        torch.save({"a": torch.zeros(1), "x": Payload(target)}, path, _use_new_zipfile_serialization=how == "zip")


@pytest.mark.parametrize("how", ["zip", "legacy", "bare"])
def test_a_pickle_that_runs_code_is_refused_described_and_never_run(tmp_path, how):
    path, target = tmp_path / "w.pt", tmp_path / "ran"
    harmful(path, target, how)
    with pytest.raises(UnsafeFileError, match=r"posix\.system"):
        load_pickle(path)
    record = describe(path)
    assert not record["safe"]
    assert "posix.system" in record["imports"]
    assert record["tensors"] == {}
    assert not target.exists()
    torch.load(path, weights_only=False) if how != "bare" else pickle.loads(path.read_bytes())
    assert target.exists()  # the payload is a real one


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(UnsafeFileError, match=r"torch\.nn\.modules\.linear\.Linear"):
        load_pickle(tmp_path / "w.pt")


def test_a_name_fetched_from_the_memo_is_seen(tmp_path):
    # "posix" and "system" are stored first and fetched later, as a hidden import would be.
    code = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x8c\x04safe\x94000h\x00h\x01\x93."
    (tmp_path / "w.pt").write_bytes(code)
    assert judge(tmp_path / "w.pt").imports == ("posix.system",)


def test_a_decoy_that_is_dropped_again_hides_no_import(tmp_path):
    decoy = b"\x8c\x0bcollections\x8c\x0bOrderedDict00"
    (tmp_path / "w.pt").write_bytes(b"\x80\x04\x8c\x05posix\x8c\x06system" + decoy + b"\x93.")
    assert judge(tmp_path / "w.pt").imports == ("?",)


def test_archives_that_hide_something_are_refused(tmp_path):
    torch.save(STATE, tmp_path / "sound.pt")
    with zipfile.ZipFile(tmp_path / "sound.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for kind, name in ((zipfile.ZIP_DEFLATED, None), (zipfile.ZIP_STORED, "other/data.pkl")):
        with zipfile.ZipFile(tmp_path / "w.pt", "w", kind) as archive:
            for member, content in members.items():
                archive.writestr(member, content)
            if name:
                archive.writestr(name, b"N.")
        with pytest.raises(UnsafeFileError, match="compressed|exactly one"):
            load_pickle(tmp_path / "w.pt")


@settings(deadline=None, max_examples=25)
@given(st.binary(max_size=64), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02"]))
def test_garbage_is_refused_and_described(tmp_path_factory, content, start):
    path = tmp_path_factory.mktemp("garbage") / "w.pt"
    path.write_bytes(start + content)
    with pytest.raises(UserError):
        load_pickle(path)
    assert not describe(path)["safe"]


def test_a_truncated_file_is_refused(tmp_path):
    torch.save(STATE, tmp_path / "w.pt")
    content = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError):
        load_pickle(tmp_path / "w.pt")


def test_descriptions_of_sound_files_agree(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors", metadata={"k": "v"})
    torch.save(STATE, tmp_path / "w.pt")
    ours, theirs = describe(tmp_path / "w.safetensors"), describe(tmp_path / "w.pt")
    assert ours["safe"]
    assert theirs["safe"]
    assert (ours["kind"], theirs["kind"]) == ("safetensors", "pytorch zip")
    assert ours["parameters"] == theirs["parameters"] == 8
    assert ours["tensors"] == {"a": ["F32", [2, 3]], "b": ["I64", [2]]}
    assert theirs["dtypes"] == {"float32": 1, "int64": 1}
    assert ours["metadata"] == {"k": "v"}


def test_a_missing_file_a_folder_and_a_strange_file_are_refused(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"x")
    for path, says in (
        (tmp_path / "no.pt", "nothing there"),
        (tmp_path, "a folder"),
        (tmp_path / "w.h5", "safetensors"),
    ):
        with pytest.raises(UserError, match=says):
            load_state(path)
