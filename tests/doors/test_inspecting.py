"""`inspect` looks at every kind of file by the reader that would load it, and its lines cannot be forged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from files.saved_models import message, written
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


def test_a_saved_model_is_told_by_its_operations_and_a_program_by_the_one_that_does_more(tmp_path: Path):
    sound = facts_of(written(tmp_path / "sound"))
    assert (sound["safe"], sound["kind"]) == (True, "TensorFlow SavedModel")
    assert "Conv2D" in sound["metadata"]["operations"]
    assert sound["metadata"]["as a source"] == f"tensorflow:{tmp_path / 'sound'}"
    harmful = facts_of(written(tmp_path / "harmful", message({"serve": ("WriteFile",)})))
    assert (harmful["safe"], "WriteFile" in harmful["why"]) == (False, True)


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


def hugging_face(folder: Path, *files: str, **settings: object) -> Path:
    """A model's folder as the library writes it, with a small tensor in each weight file."""
    from safetensors.torch import save_file
    from torch import ones

    folder.mkdir()
    for number, name in enumerate(files):
        save_file({f"layer{number}.weight": ones(2, 3)}, folder / name)
    known = {"architectures": ["ViTForImageClassification"], "id2label": {"0": "ape", "1": "bee"}}
    (folder / "config.json").write_text(json.dumps({**known, **settings}), encoding="utf-8")
    return folder


def test_a_hugging_face_folder_is_one_model_with_the_spec_to_use_it_by(tmp_path: Path):
    parts = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    folder = hugging_face(tmp_path / "vit", *parts)
    (folder / "modeling.py").write_text("raise RuntimeError", encoding="utf-8")
    said = inspected([folder], as_json=False)
    assert "Hugging Face model" in said and "safe to load" in said.splitlines()[0] and "NOT SAFE" not in said
    assert f"hf:{folder}" in said and "2 (ape, bee)" in said and "ViTForImageClassification" in said
    assert "2 tensors (2 F32), 12 numbers" in said and "modeling.py: never runs" in said
    assert "not told: no preprocessor_config.json" in said


def test_a_model_of_texts_says_which_words_it_knows(tmp_path: Path):
    folder = hugging_face(tmp_path / "bert", "model.safetensors")
    facts = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**facts, "vocab_size": 9}))
    assert facts_of(folder)["metadata"]["reads texts"] == "not told: no tokenizer.json"
    (folder / "tokenizer.json").write_text("{}")
    assert facts_of(folder)["metadata"]["reads texts"] == "as tokenizer.json says"


def test_a_folder_is_as_safe_as_its_worst_file_and_lacks_what_its_index_names(tmp_path: Path):
    folder = hugging_face(tmp_path / "vit", "a.safetensors", "b.safetensors")
    (folder / "b.safetensors").write_bytes(b"x" * 20)
    facts = facts_of(folder)
    assert not facts["safe"] and facts["why"].startswith("b.safetensors: this is no sound safetensors file")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"w": "c.safetensors"}}', encoding="utf-8")
    with pytest.raises(UserError, match="the index names is missing"):
        facts_of(folder)


def test_a_folder_without_weights_and_one_that_changes_another_model_are_told(tmp_path: Path):
    facts = facts_of(hugging_face(tmp_path / "empty"))
    assert not facts["safe"] and "no weights are here" in facts["why"]
    folder = hugging_face(tmp_path / "lora", "adapter_model.safetensors")
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/vit", "r": 4}', encoding="utf-8")
    facts = facts_of(folder)
    assert (facts["safe"], facts["kind"]) == (True, "LoRA adapter")
    assert (facts["metadata"]["changes"], facts["metadata"]["rank"]) == ("some/vit", "4")


def test_weights_that_no_source_takes_are_told_with_the_way_that_works(tmp_path: Path):
    from torch import ones, save

    folder = hugging_face(tmp_path / "old")
    save({"w": ones(2)}, folder / "pytorch_model.bin")
    facts = facts_of(folder)
    assert facts["safe"] and "save it anew as safetensors" in facts["metadata"]["as a source"]
    whole = hugging_face(tmp_path / "small", "model.safetensors", quantization_config={"bits": 4})
    assert "quantised" in facts_of(whole)["metadata"]["as a source"]


def test_a_table_is_one_and_a_broken_one_says_what_is_wrong(tmp_path):
    sound, broken = tmp_path / "p.csv", tmp_path / "q.csv"
    sound.write_text("item,p0,p1\na,0.2,0.8\nb,0.6,0.4\n")
    broken.write_text("item,p0\na,0.2,0.8\n")
    told = inspected([sound], as_json=False)
    assert "table" in told and "safe to load" in told and "NOT SAFE" not in told
    assert "columns: item, p0, p1" in told and "rows: 2" in told
    assert "NOT SAFE" in inspected([broken], as_json=False)
