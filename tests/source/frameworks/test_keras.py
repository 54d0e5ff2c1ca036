"""Keras sources: modes, statistics, freezing and copies are real, and no file gets to run anything."""

from __future__ import annotations

import copy
import json
import sys
import types
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from contracts.source_laws import LAWS
from transfuse.errors import MissingExtraError, UnsafeFileError, UserError
from transfuse.fusion.saved import load, save
from transfuse.source.blank import blank_source
from transfuse.source.frameworks import keras_files
from transfuse.source.frameworks.keras_backend import keras, quiet
from transfuse.source.open import make_card, open_source
from transfuse.source.sections import section
from transfuse.steps.count import forward_flops, used_parameters

SIDE, CLASSES = 16, 3
PREPARE = {"size": SIDE, "mean": 0.0, "scale": 255}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small network with BatchNorm, dropout and a closing softmax, as Keras writes it; and Keras's own answers."""
    here = tmp_path_factory.mktemp("keras")
    package = keras("test")
    package.utils.set_random_seed(0)
    make = package.layers
    model = package.Sequential([
        package.Input((None, None, 3)), make.Rescaling(1 / 127.5, offset=-1),
        make.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="stem"), make.BatchNormalization(name="norm"),
        make.ReLU(), make.DepthwiseConv2D(3, padding="same"), make.Conv2D(8, 1, name="deep"), make.ReLU(),
        make.GlobalAveragePooling2D(), make.Dropout(0.5), make.Dense(CLASSES, activation="softmax", name="head"),
    ])  # fmt: skip
    # What the process apart does is tested by itself below.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(keras_files, "_tried_apart", lambda path, digest: None)
    with quiet():
        model.get_layer("norm").moving_mean.assign(np.linspace(-0.1, 0.1, 6))
        model.save(here / "m.keras")
        with torch.no_grad():
            answers = model(images().permute(0, 2, 3, 1) * 255, training=False)
    yield here, answers
    monkeypatch.undo()


def images():
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def first(folder):
    card = make_card("it", "keras:m.keras", root=folder[0], canvas=SIDE, prepare=PREPARE)
    return open_source(card, root=folder[0])


@pytest.fixture
def source(first):
    return copy.deepcopy(first)


def state(source):
    return {name: value.clone() for name, value in source.state_dict().items()}


def changed(source, before):
    return {
        name.rsplit(".", 1)[-1] for name, value in source.state_dict().items() if not torch.equal(value, before[name])
    }


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law, source, tmp_path):
    law(source, torch.cat([images(), images().flip(2)[:1]]), tmp_path)


def test_it_answers_as_keras_does_before_the_softmax(folder, source):
    torch.testing.assert_close(torch.softmax(source(images()), 1), folder[1], rtol=0, atol=1e-6)
    assert any("softmax" in note for note in source.card.notes)
    taps = source.card.taps
    assert (taps["map"].width, taps["map"].layout, taps["vector"].width) == (8, "nhwc", 8)
    blocks = source(images(), ["map", "vector"])
    assert list(blocks["map"].shape) == [3, 8, 8, 8]
    torch.testing.assert_close(blocks["map"].relu().mean((2, 3)), blocks["vector"])


def test_statistics_are_no_parameters_and_cost_is_counted(source):
    names = {name.rsplit(".", 1)[-1] for name, _ in source.network.named_buffers()}
    assert {"running_mean", "running_var"} <= names
    learned = 6 * 27 + 12 + 54 + 6 + 56 + 27
    assert sum(parameter.numel() for parameter in source.parameters()) == source.card.parameters == learned
    assert used_parameters(source, images()) == learned
    assert forward_flops(source, images()[:1]) == 2 * (64 * 6 * 27 + 64 * 6 * 9 + 64 * 48 + 24)


def test_training_moves_statistics_and_drops_and_evaluating_does_neither(source):
    before = state(source)
    assert torch.equal(source(images()), source(images()))
    assert not changed(source, before)
    source.train()
    assert not torch.equal(source(images()), source(images()))
    assert {"running_mean", "running_var"} <= changed(source, before)
    source(images()).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in source.parameters())


def test_what_is_frozen_stays_to_the_bit_through_training_copies_and_all(source):
    source.freeze("map")
    for each in (source, copy.deepcopy(source)):
        each.train()
        before = state(each)
        learned = [parameter for parameter in each.parameters() if parameter.requires_grad]
        each(images()).square().sum().backward()
        torch.optim.SGD(learned, 0.1).step()
        assert changed(each, before) - {"seed_generator_state"} == {"head/kernel", "head/bias"}
    assert torch.equal(copy.deepcopy(source).eval()(images()), source.eval()(images()))


def test_a_fresh_draw_is_another_network_and_the_same_for_the_same_seed(folder, source):
    first, again, other = (blank_source(source.card, root=folder[0], seed=seed)(images()) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first, source(images()))


def test_its_graph_says_where_it_can_be_cut_and_the_parts_are_the_whole(source):
    assert {"layers.stem", "layers.deep", "map"} <= {name for name, tap in source.card.taps.items() if tap.cut}
    tail = section(source, "layers.norm", "logits")
    torch.testing.assert_close(tail(source(images(), ["layers.norm"])["layers.norm"]), source(images()))


def test_a_saved_model_takes_the_archive_along(source, tmp_path):
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(0.1)
    save(source, tmp_path / "saved")
    assert torch.equal(load(tmp_path / "saved")(images()), source(images()))


HOSTILE = [
    {"module": "keras.layers", "class_name": "Lambda", "config": {"function": {"class_name": "__lambda__"}}},
    {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/"}},
    {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"},
    {"module": "os", "class_name": "system", "config": {}},
    {"module": "keras.utils", "class_name": "get_file", "config": {}},
    {"module": "keras", "class_name": "Model", "config": {}},
    {"class_name": "__lambda__", "config": {"value": "code"}},
]


def rewritten(folder, out: Path, *, layer=None, weights: bytes | None = None, extra: str = "") -> Path:
    """The good archive with one part of it exchanged."""
    with zipfile.ZipFile(folder[0] / "m.keras") as good, zipfile.ZipFile(out / "m.keras", "w") as bad:
        config = json.loads(good.read("config.json"))
        config["config"]["layers"].append(layer) if layer else None
        bad.writestr("config.json", json.dumps(config))
        bad.writestr("metadata.json", good.read("metadata.json"))
        bad.writestr("model.weights.h5", weights if weights is not None else good.read("model.weights.h5"))
        if extra:
            bad.writestr(extra, "x")
    return out


@pytest.mark.parametrize("layer", HOSTILE, ids=lambda layer: layer["class_name"])
def test_an_archive_that_could_run_code_is_refused_before_keras_sees_it(folder, tmp_path, layer, monkeypatch):
    monkeypatch.setattr(keras_files, "_tried_apart", None)
    with pytest.raises(UnsafeFileError, match="may run code"):
        make_card("it", "keras:m.keras", root=rewritten(folder, tmp_path, layer=layer), canvas=SIDE, prepare=PREPARE)


def hostile_h5(path: Path, kind: str) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"a"]
        group = file.create_group("a")
        group.attrs["weight_names"] = [b"w"]
        if kind == "link":
            group["w"] = h5py.ExternalLink("/etc/passwd", "/")
        elif kind == "soft":
            group["w"] = h5py.SoftLink("/a")
        elif kind == "storage":
            group.create_dataset("w", (4,), "u1", external=[("/etc/passwd", 0, 4)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), "u1")
            layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
            group.create_virtual_dataset("w", layout)
        elif kind == "bomb":
            group.create_dataset("w", (1 << 30,), "f4", chunks=(1 << 20,), compression="gzip")
    return path


@pytest.mark.parametrize("kind", ["link", "soft", "storage", "virtual", "bomb"])
def test_weights_that_reach_out_of_their_file_or_swell_are_refused(folder, tmp_path, kind):
    path = hostile_h5(tmp_path / "w.h5", kind)
    with pytest.raises(UnsafeFileError):
        make_card("it", f"keras:MobileNet?weights={path}&size=32", root=tmp_path, canvas=32)
    rewritten(folder, tmp_path, weights=path.read_bytes())
    with pytest.raises(UnsafeFileError):
        make_card("it", "keras:m.keras", root=tmp_path, canvas=SIDE, prepare=PREPARE)


TRIED_APART = keras_files._tried_apart


def test_an_archive_that_fails_apart_is_not_opened_here(folder, tmp_path, monkeypatch):
    rewritten(folder, tmp_path)
    monkeypatch.setattr(keras_files, "_tried_apart", TRIED_APART)
    monkeypatch.setattr(keras_files, "TRY", "raise SystemExit('it broke')")
    monkeypatch.setattr(keras_files, "_loaded", None)
    with pytest.raises(UnsafeFileError, match="it broke"):
        make_card("it", "keras:m.keras", root=tmp_path, canvas=SIDE, prepare=PREPARE)
    with pytest.raises(UnsafeFileError, match="not what Keras writes"):
        make_card("it", "keras:m.keras", root=rewritten(folder, tmp_path, extra="../x"), canvas=SIDE, prepare=PREPARE)


def test_what_the_process_apart_does_is_to_open_the_archive_and_run_it_once(folder, tmp_path):
    keras_files.try_out(str(folder[0] / "m.keras"))
    (tmp_path / "m.keras").write_bytes((folder[0] / "m.keras").read_bytes()[:-40])
    with pytest.raises(UserError, match="cannot open"):
        keras_files.try_out(str(tmp_path / "m.keras"))


@pytest.mark.exhaustive
def test_a_good_archive_passes_the_process_apart_and_is_known_from_then_on(folder, monkeypatch):
    path = folder[0] / "m.keras"
    monkeypatch.setenv(keras_files.TRIED, "")
    TRIED_APART.cache_clear()
    TRIED_APART(path, "its digest")
    monkeypatch.setattr(keras_files, "TRY", "raise SystemExit('again')")
    TRIED_APART.cache_clear()
    TRIED_APART(path, "its digest")


def preprocess_input(x):
    """What networks of Caffe's kind do: blue first, minus a mean."""
    return x[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)


def tiny(weights, classes, classifier_activation, input_shape):
    make = keras("test").layers
    entry = keras("test").Input(input_shape)
    block = make.BatchNormalization(name="bn")(make.Conv2D(4, 3, strides=4, name="conv")(entry))
    scores = make.Dense(classes, activation=classifier_activation, name="fc")(make.GlobalAveragePooling2D()(block))
    return keras("test").Model(entry, scores)


def old_file(path: Path, network, names: dict[str, str]) -> None:
    """Weights as Keras 2 wrote them: names of its own, and a configuration that would be code."""
    layers = [layer for layer in network.whole[0].layers if layer.weights]
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = '{"class_name": "Lambda"}'
        file.attrs["layer_names"] = [names[layer.name].encode() for layer in layers]
        for layer in layers:
            group = file.create_group(names[layer.name])
            inner = [f"{layer.name}_1/{weight.name}_W:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in inner]
            for name, weight in zip(inner, layer.weights, strict=True):
                group[name] = weight._value.detach().numpy() + 0.5


@pytest.mark.parametrize("kept", [True, False])
def test_old_arrays_go_into_a_named_architecture_and_nothing_else_of_the_file_is_read(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(keras_files, "architectures", lambda where: {"Tiny": tiny})
    made = open_source(make_card("it", "keras:Tiny@random?classes=3&size=32", root=tmp_path, canvas=32), root=tmp_path)
    assert (made.card.prepare.order, made.card.prepare.scale) == ("bgr", 255)
    names = {name: name if kept else f"old_{name}" for name in ("conv", "bn", "fc")}
    old_file(tmp_path / "old.h5", made.network, names)
    card = make_card("it", "keras:Tiny?weights=old.h5&classes=3&size=32", root=tmp_path, canvas=32)
    with torch.no_grad():
        for tensor in (*made.network.parameters(), *made.network.buffers()):
            tensor.add_(0.5)
    canvas = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(open_source(card, root=tmp_path)(canvas), made(canvas))
    with pytest.raises(UserError, match="do not fit"):
        make_card("it", "keras:Tiny?weights=old.h5&classes=4&size=32", root=tmp_path, canvas=32)


def test_preparing_is_read_off_the_package_s_own_function():
    known = keras_files.architectures("test")
    caffe, tf = (keras_files._prepare_of(known[name], 224) for name in ("VGG16", "MobileNetV2"))
    assert (caffe.order, caffe.scale, caffe.mean, caffe.std) == ("bgr", 255, (103.939, 116.779, 123.68), (1.0,) * 3)
    assert (tf.order, tf.scale, tf.mean, tf.std) == ("rgb", 255, (127.5,) * 3, (127.5,) * 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("keras:old.h5", "arrays only"),
        ("keras:ResNet5", "needs its weights"),
        ("keras:ResNet5@random", "unknown Keras architecture"),
        ("keras:none.keras", "no such file"),
    ],
)
def test_what_cannot_be_is_told_with_the_way_that_works(text, says, tmp_path):
    with pytest.raises(UserError, match=says):
        make_card("it", text, root=tmp_path, canvas=32, prepare=PREPARE)


def test_another_backend_is_an_error_and_an_absent_package_names_its_command(monkeypatch):
    other = types.SimpleNamespace(config=types.SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", other)
    with pytest.raises(UserError, match="only where Keras runs on PyTorch"):
        keras("here")
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(UserError, match="KERAS_BACKEND says: tensorflow"):
        keras("here")
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setitem(sys.modules, "keras.src", None)
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(MissingExtraError, match=r"transfuse\[keras\]"):
        keras("here")
