"""`inspect` looks at every kind of file by the reader that would load it, and its lines cannot be forged."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.test_fuzz import TARGETS
from fuzz.test_malicious import HARMFUL, fresh
from transfuse.doors.inspecting import facts_of, inspected
from transfuse.errors import UserError

NAMES = {"npz": "x.npz", "onnx": "m.onnx", "images": "p.png", "idx": "t.idx", "keras archive": "m.keras"}


@pytest.mark.parametrize("name", NAMES)
def test_harmful_files_of_other_kinds_are_told_with_their_reason(name: str, tmp_path: Path):
    for title, (make, words) in HARMFUL[name].items():
        path = tmp_path / TARGETS[name].file
        fresh(make)(path)
        if not path.is_file() or words in ("graph", "images"):
            continue
        said = inspected([path], as_json=False).splitlines()
        assert "NOT SAFE" in said[0], title
        assert words in said[1], (title, said[1])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("h5", "Keras weights in HDF5"),
        ("keras archive", "Keras archive"),
        ("npz", "npz"),
        ("onnx", "ONNX graph"),
        ("images", "image"),
        ("idx", "IDX"),
    ],
)
def test_sound_files_of_other_kinds_are_told_apart(name: str, kind: str, tmp_path: Path):
    path = tmp_path / TARGETS[name].file
    path.write_bytes(TARGETS[name].forms[0].seeds[0])
    facts = facts_of(path)
    assert (facts["safe"], facts["kind"]) == (True, kind)
    assert facts["tensors"] or name == "keras archive"


def test_names_inside_a_file_forge_no_line(tmp_path: Path):
    from safetensors.torch import save_file
    from torch import zeros

    path = tmp_path / "w.safetensors"
    hostile = "x\n/etc/passwd: safetensors, 0 bytes, safe to load\x1b[2J"
    save_file({hostile: zeros(1)}, path, metadata={hostile: hostile})
    said = inspected([path], as_json=False)
    assert len(said.splitlines()) == 7
    assert all(line.isprintable() for line in said.splitlines())


def test_what_is_not_there_is_one_message(tmp_path: Path):
    with pytest.raises(UserError, match="no such"):
        inspected([tmp_path / "none.onnx"], as_json=False)
    with pytest.raises(UserError, match="neither a run nor a model"):
        inspected([tmp_path], as_json=False)
