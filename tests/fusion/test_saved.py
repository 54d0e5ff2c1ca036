"""What was saved computes the same when it is loaded, and nothing else is taken for a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from transfuse.errors import UserError
from transfuse.fusion.connect import connect
from transfuse.fusion.pooled import Narrowed, Pool
from transfuse.fusion.saved import DESCRIPTION, TENSORS, load, save
from transfuse.jsonio import file_digest
from transfuse.reads import Read
from transfuse.source.open import make_card, open_source

CLASSES = ("cat", "dog", "owl")


def demo(name):
    spec = f"demo:{name}"
    return open_source(make_card(name, spec, root=Path(), canvas=16), root=Path())


def stirred(model):
    """The model after training it did not have: every number moved, so that nothing equals a fresh one."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value += 0.05 * torch.rand(value.shape, generator=generator)
    return model.eval()


@pytest.fixture
def model():
    members = {"res.v1": demo("residual"), "depth": demo("depthwise")}
    reads = [Read("depth", "vector"), Read("res.v1", "vector", "mirror"), Read("depth", "map")]
    made = stirred(connect("features/gate", members, reads, CLASSES, settings={"width": 8}))
    made.card = replace(made.card, name="mine")
    return made


def edited(folder, change):
    path = folder / DESCRIPTION
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_a_fusion_computes_the_same_after_loading(model, canvas, tmp_path):
    model.temperature = 1.7
    save(model, tmp_path, facts={"canvas": 16})
    found = load(tmp_path)
    assert torch.equal(found(canvas), model(canvas))
    assert torch.equal(found.probabilities(canvas), model.probabilities(canvas))
    assert torch.equal(found(canvas, ["res.v1.map"])["res.v1.map"], model(canvas, ["res.v1.map"])["res.v1.map"])
    assert not found.training
    assert (found.card.name, found.card.classes, found.names) == ("mine", CLASSES, ("res.v1", "depth"))


def test_a_model_shipped_with_its_canvas_takes_images_of_that_size_alone(model, canvas, tmp_path):
    save(model, tmp_path, facts={"canvas": 16})
    found, other = load(tmp_path), torch.rand(2, 3, 24, 24)
    for ask in (found, found.probabilities, lambda images: found({"image": images}, ["fused"])):
        with pytest.raises(UserError, match=r"expected: \[N, 3, 16, 16\]\n +got: \[2, 3, 24, 24\]"):
            ask(other)
    with pytest.raises(UserError, match="expected: .*16, 16"):
        found(torch.rand(2, 3, 16, 24))
    save(model, tmp_path)
    assert load(tmp_path)(other).shape == (2, 3), "saved without one it takes any, as the network does"


def test_a_shipped_model_is_a_source_at_another_canvas(model, tmp_path):
    save(model, tmp_path, facts={"canvas": 16})
    found = load(tmp_path)
    card = make_card("again", found, root=Path(), canvas=24)
    assert open_source(card, root=Path(), module=found)(torch.rand(2, 3, 24, 24)).shape == (2, 3)
    assert found.canvas == 16, "the one that was given keeps its own"


def test_a_fusion_of_fusions_computes_the_same_after_loading(model, canvas, tmp_path):
    reads = [Read("inner", "fused"), Read("vgg", "vector")]
    outer = stirred(connect("features/concat", {"inner": model, "vgg": demo("vgg")}, reads, CLASSES))
    save(outer, tmp_path)
    assert torch.equal(load(tmp_path)(canvas), outer(canvas))


def test_shared_structure_pools_and_narrowed_sources_come_back(model, canvas, tmp_path):
    shared = stirred(connect("structure/share", {"vgg": demo("vgg")}, None, CLASSES, settings={"width": 8}))
    known = demo("residual")
    known.card = replace(known.card, classes=("owl", "cat", "dog", *"abcdefg"))
    pool = Pool("pool", [model, shared, Narrowed(known, CLASSES)], "outputs/mean_prob", {}).eval()
    save(pool, tmp_path)
    assert torch.equal(load(tmp_path)(canvas), pool(canvas))


def test_a_member_that_is_not_read_is_saved_too(canvas, tmp_path):
    members = {"vgg": demo("vgg"), "unread": demo("residual")}
    model = stirred(connect("features/concat", members, [Read("vgg", "vector")], CLASSES))
    save(model, tmp_path)
    assert torch.equal(load(tmp_path)(canvas), model(canvas))


def test_a_member_given_in_python_must_be_given_again(members, canvas, tmp_path):
    model = stirred(connect("features/concat", members, None, CLASSES))
    save(model, tmp_path)
    with pytest.raises(UserError, match="'wide' was given in Python"):
        load(tmp_path)
    modules = {name: source.network for name, source in members.items()}
    before = modules["wide"].head.weight.clone()
    with torch.no_grad():
        modules["fine"].head.weight.zero_()
    found = load(tmp_path, modules=modules)
    assert torch.equal(found(canvas), model(canvas))
    assert torch.equal(modules["wide"].head.weight, before)
    assert not modules["fine"].head.weight.any(), "the given module itself is left as it was"


def test_another_module_does_not_fit(members, tmp_path):
    save(connect("features/concat", members, None, CLASSES), tmp_path)
    with pytest.raises(UserError, match="do not fit the network"):
        load(tmp_path, modules={"wide": members["wide"].network, "fine": members["wide"].network})


def test_only_sources_are_saved_and_nothing_is_left_behind(tmp_path):
    with pytest.raises(UserError, match="only sources"):
        save(nn.Linear(2, 2), tmp_path / "new")
    assert not (tmp_path / "new").exists()


# -- what is not a model -----------------------------------------------------------------------------------------------


def test_changed_tensors_are_refused(model, tmp_path):
    save(model, tmp_path)
    path = tmp_path / TENSORS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="not those it was saved with"):
        load(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path)


def test_no_tensors_whatever_the_digest_says(model, tmp_path):
    save(model, tmp_path)
    (tmp_path / TENSORS).write_bytes(b"\x80\x04no tensors")
    edited(tmp_path, lambda record: record.update(sha256=file_digest(tmp_path / TENSORS)))
    with pytest.raises(UserError, match="no sound safetensors"):
        load(tmp_path)


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '"model"', "{}", '{"schema": "transfuse/model/999"}', "[" * 100_000, "\x00"]
)
def test_what_is_no_description_is_one_clean_message(text, tmp_path):
    if text is not None:
        (tmp_path / DESCRIPTION).write_text(text)
    with pytest.raises(UserError):
        load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("model"),
        lambda record: record.pop("sha256"),
        lambda record: record.update(model=7),
        lambda record: record.update(temperature="hot"),
        lambda record: record.update(temperature=0.0),
        lambda record: record.update(temperature=float("nan")),
        lambda record: record["model"].update(kind="pickle"),
        lambda record: record["model"].update(kind=["fused"]),
        lambda record: record["model"].update(members={"a": 1}),
        lambda record: record["model"].update(method="weights/mean"),
        lambda record: record["model"].update(method="os/system"),
        lambda record: record["model"].update(settings={"width": 10**12}),
        lambda record: record["model"].update(reads=[{"member": "depth", "tap": "vector", "run": "me"}]),
        lambda record: record["model"].update(reads=[{"member": "gone", "tap": "vector"}]),
        lambda record: record["model"]["members"][0][1]["card"].update(spec="demo:../../etc/passwd"),
        lambda record: record["model"]["members"][0][1]["card"].update(spec="pickle:everything"),
        lambda record: record["model"]["members"][0][1]["card"].pop("taps"),
        lambda record: record["model"]["members"][0][1]["card"]["taps"].clear(),
    ],
)
def test_a_hostile_description_is_one_clean_message(change, model, tmp_path):
    save(model, tmp_path)
    edited(tmp_path, change)
    with pytest.raises(UserError):
        load(tmp_path)
