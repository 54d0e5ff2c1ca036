"""One job over networks of many makers: Keras, ONNX trained and frozen, timm, torchvision; in features and outputs."""

from __future__ import annotations

import os
import subprocess

import pytest
import torch

from source.onnx_files import network, write
from transfuse import fuse, load
from transfuse.jsonio import file_digest
from transfuse.plan.recipe import validated
from transfuse.run.run import Request, run
from transfuse.source.frameworks.keras_backend import keras, quiet
from transfuse.source.frameworks.keras_files import TRIED
from transfuse.source.frameworks.tensorflow_process import interpreter
from transfuse.source.open import make_card, open_source

SIDE = 28
HALF = {"size": SIDE, "mean": 0.5, "std": 0.5}
SOURCES = {
    "conv": {"spec": "keras:m.keras", "prepare": {"size": SIDE, "mean": 0, "scale": 255}},
    "graph": {"spec": "onnx:m.onnx", "prepare": HALF},
    "still": {"spec": "onnx:still.onnx", "prepare": HALF},
    "tim": {"spec": "timm:test_resnet@random?classes=3"},
    "squeeze": {"spec": "torchvision:squeezenet1_1@random?classes=3"},
}
UNTIL = "still.vector, conv.layers.deep, graph.Conv_x1, tim.conv1, squeeze.features.9"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of a Keras network and of two ONNX graphs, one of which has no form in PyTorch."""
    here = tmp_path_factory.mktemp("frameworks")
    make = keras("test").layers
    keras("test").utils.set_random_seed(0)
    model = keras("test").Sequential([
        keras("test").Input((None, None, 3)), make.Conv2D(6, 3, strides=2), make.BatchNormalization(), make.ReLU(),
        make.Conv2D(8, 3, name="deep"), make.ReLU(), make.GlobalAveragePooling2D(), make.Dense(5, activation="softmax"),
    ])  # fmt: skip
    with quiet():
        model.save(here / "m.keras")
    # Made here, so it need not be tried in a process apart, which takes some seconds.
    os.environ[TRIED] = file_digest(here / "m.keras")
    write(here / "m.onnx", network())
    write(here / "still.onnx", network(1), branch=True)
    yield here
    del os.environ[TRIED]


def job(folder, sources, until, side=SIDE):
    """The outcome of one small run over these sources."""
    recipe = {
        "sources": {name: {**entry, "seen": "none"} for name, entry in sources.items()},
        "data": {"read": "sklearn:digits", "splits": {"per_class": 3, "val": 20, "test": 30}, "canvas": side},
        "candidates": {
            "concat": {"fuse": "features/concat"},
            "partly": {"fuse": "features/gate", "train": {"regime": "partial", "until": until, "epochs": 1}},
            "pooled": {"fuse": "outputs/convex"},
        },
        "ladder": "quick",
        "judge": {"test": "all"},
        "train": {"frozen": {"epochs": 1, "rates": [0.01]}, "partial": {"rates": [0.01]}},
        "seeds": 1,
        "run": {"store": str(folder / "store")},
    }
    return run(Request(validated(recipe, where="test"), folder, folder / "out"))


@pytest.fixture(scope="module")
def outcome(folder):
    return job(folder, SOURCES, UNTIL)


def test_the_job_ends_in_a_verdict_over_fusions_of_features_and_of_outputs(outcome):
    arms = {arm["name"]: arm for arm in outcome.evidence["arms"]}
    assert {"concat", "partly", "pooled", "ensemble", *(f"frozen/{name}" for name in SOURCES)} <= set(arms)
    assert outcome.evidence["verdict"]["recommendation"]["arm"] in arms
    assert all(arms[f"frozen/{name}"]["cost"]["inference_flops"] > 0 for name in SOURCES)
    claims = {claim["arm"] for claim in outcome.evidence["verdict"]["claims"]}
    assert claims & {"concat", "partly", "pooled"}


def test_what_nobody_can_start_again_is_left_out_with_its_reason(outcome):
    missing = {entry["what"]: entry["why"] for entry in outcome.evidence["not_measured"]}
    assert missing["random/still"] == "the weights of still are out of reach"
    assert not {f"random/{name}" for name in ("conv", "graph", "tim", "squeeze")} & set(missing)


def test_the_shipped_model_opens_by_itself(outcome):
    shipped = next(path for path in (outcome.folder.path / "models").iterdir() if path.is_dir())
    model, images = load(shipped), torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert list(model(images).shape) == [2, 10]
    assert torch.equal(model(images), load(shipped)(images))


def learned(folder, sources, side=SIDE):
    """The sources that gradients of their fusion reach, whether they reach the images, and the fusion."""
    opened = {}
    for name, entry in sources.items():
        card = make_card(name, entry["spec"], root=folder, canvas=side, prepare=entry.get("prepare"))
        opened[name] = open_source(card, root=folder)
    fused = fuse(opened, "features/concat", classes=10, canvas=side)
    with torch.no_grad():
        # A new head starts at zero, through which nothing comes.
        fused.crown.head.weight.normal_(generator=torch.Generator().manual_seed(1))
    images = torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0)).requires_grad_()
    fused(images).square().sum().backward()
    reached = {
        name for name in sources if any(p.grad is not None and p.grad.any() for p in fused.member(name).parameters())
    }
    return reached, bool(images.grad.any()), fused


def test_gradients_reach_all_that_trains_and_the_images_through_it(folder):
    reached, images, fused = learned(folder, SOURCES)
    assert (fused.card.trainable, fused.card.differentiable) == (False, False)
    assert reached == set(SOURCES) - {"still"}
    assert images


# With a SavedModel, and with networks of the sizes that people have.
LARGE = 32
EXPORT = """
import keras
keras.utils.set_random_seed(0)
keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=5).export("saved")
"""
MAKERS = {
    "keras": {"spec": f"keras:ResNet50@random?classes=5&size={LARGE}"},
    "tensorflow": {"spec": "tensorflow:saved", "prepare": {"size": LARGE, "mean": 0.5, "std": 0.5}},
    "graph": {"spec": "onnx:m.onnx", "prepare": {**HALF, "size": LARGE}},
    "timm": {"spec": "timm:test_resnet@random?classes=3"},
    "vgg": {"spec": "torchvision:vgg16@random?classes=3"},
}


@pytest.fixture(scope="module")
def saved(folder):
    """The folder, with a SavedModel in it and a store of its own for what is known of that."""
    done = subprocess.run(
        [interpreter(), "-c", EXPORT], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": "", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSFUSE_STORE", str(folder / "programs"))
        yield folder


@pytest.mark.tensorflow
def test_keras_tensorflow_onnx_timm_and_torchvision_end_in_one_verdict(saved):
    """Some five minutes of one core: networks of these sizes are opened for every step."""
    found = job(saved, MAKERS, ", ".join(f"{name}.vector" for name in MAKERS), LARGE)
    arms = {arm["name"] for arm in found.evidence["arms"]}
    assert {"concat", "partly", "pooled", "ensemble", *(f"frozen/{name}" for name in MAKERS)} <= arms
    assert found.evidence["verdict"]["recommendation"]["arm"] in arms


@pytest.mark.tensorflow
@pytest.mark.parametrize("runtime", ["auto", "tensorflow"])
def test_gradients_reach_a_savedmodel_through_its_graph_and_pass_by_its_own_process(runtime, saved):
    sources = {**MAKERS, "tensorflow": {**MAKERS["tensorflow"], "spec": f"tensorflow:saved?runtime={runtime}"}}
    reached, images, _ = learned(saved, sources, LARGE)
    assert images
    assert reached == set(sources) - ({"tensorflow"} if runtime == "tensorflow" else set())
