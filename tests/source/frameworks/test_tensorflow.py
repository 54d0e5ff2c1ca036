"""TensorFlow sources: the process apart, what the store keeps, and, where TensorFlow is at hand, every law of a source.

`make test-tensorflow` makes an environment with TensorFlow and runs what is marked so.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.source_laws import LAWS, images
from files.saved_models import message, written
from source.onnx_files import network, write
from transfuse.errors import MissingExtraError, UnsafeFileError, UserError
from transfuse.source.frameworks import tensorflow_process
from transfuse.source.frameworks.tensorflow_process import INTERPRETER, Conversation
from transfuse.source.open import make_card, open_source

SIDE, CLASSES = 16, 3
PREPARE = {"size": SIDE, "mean": 0.0}
# Speaks as the process apart does, and computes what tests/source/onnx_files.py writes, by hand.
STAND_IN = """
    import io, json, sys
    import numpy as np
    FACTS = json.loads({facts!r})
    GRAPH = open({graph!r}, "rb").read()
    open({log!r}, "a").write("start\\n")
    def features(x):
        return np.stack([x.mean((1, 2))[:, 0], x[:, 0, 0, 0], x[:, -1, -1, 1]], 1)
    def value(name, x):
        return {{"map": x, "vector": features(x), "logits": {gain} * features(x)}}[name]
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        given = [np.load(io.BytesIO(sys.stdin.buffer.read(n))) for n in asked["arrays"]]
        told, arrays = {{}}, []
        if asked["do"] == "open": told = FACTS
        if asked["do"] == "shown": told = {{"shown": {{"vector": "vector", "map": "map"}}}}
        if asked["do"] == "flops": told = {{"flops": 77}}
        if asked["do"] == "graph": arrays = [np.frombuffer(GRAPH, np.uint8)]
        if asked["do"] == "answer": arrays = [value(name, given[0]).astype("float32") for name in asked["names"]]
        if given and given[0].shape[1] != {side}: told, arrays = {{"error": "no such size"}}, []
        data = []
        for array in arrays:
            data.append(io.BytesIO()); np.save(data[-1], array)
        data = [one.getvalue() for one in data]
        sys.stdout.buffer.write(json.dumps({{**told, "arrays": [len(one) for one in data]}}).encode() + b"\\n")
        sys.stdout.buffer.writelines(data); sys.stdout.buffer.flush()
"""
OPEN = {"type": "float32", "sizes": [0, SIDE, SIDE, 3], "logits": "logits", "softmax": True, "stored": 12}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A function that puts a stand-in of TensorFlow's process in place; `log` has a line for each that was started."""
    written(tmp_path / "m")
    write(tmp_path / "graph.onnx", network(), last=True)
    monkeypatch.setenv("TRANSFUSE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv(INTERPRETER, sys.executable)

    def put(*, gain: float = 2.0, **facts) -> str:
        given = {"facts": json.dumps({**OPEN, **facts}), "graph": str(tmp_path / "graph.onnx"), "gain": gain}
        script = STAND_IN.format(**given, log=str(tmp_path / "log"), side=SIDE)
        (tmp_path / "child.py").write_text(textwrap.dedent(script))
        monkeypatch.setattr(tensorflow_process, "CHILD", tmp_path / "child.py")
        return "tensorflow:m"

    return put


def card_of(spec, root, **more):
    return make_card("it", spec, root=root, canvas=SIDE, prepare=PREPARE, **more)


def test_a_program_whose_graph_says_something_else_answers_through_its_own_process(stand_in, tmp_path):
    card = card_of(stand_in(), tmp_path)
    assert (card.trainable, card.differentiable) == (False, False)
    assert any("as an ONNX graph its scores differ" in note for note in card.notes)
    assert any("softmax is left out" in note for note in card.notes)
    assert card.taps["map"].size == (SIDE, SIDE)
    x = images(SIDE)
    found = open_source(card, root=tmp_path)(x, ["logits", "vector"])
    wanted = torch.stack([x[:, 0].mean((1, 2)), x[:, 0, 0, 0], x[:, 1, -1, -1]], 1)
    torch.testing.assert_close(found["vector"], wanted)
    torch.testing.assert_close(found["logits"], 2 * wanted)
    assert found["vector"].requires_grad is False


def test_what_a_process_said_is_kept_and_no_second_one_starts_before_it_is_asked(stand_in, tmp_path):
    card = card_of(stand_in(), tmp_path)
    started = (tmp_path / "log").read_text().count("start")
    source = open_source(card, root=tmp_path)
    assert (tmp_path / "log").read_text().count("start") == started
    for twin in (source, copy.deepcopy(source)):
        twin(images(SIDE))
    assert (tmp_path / "log").read_text().count("start") == started + 2


def test_another_content_is_another_program(stand_in, tmp_path):
    first = card_of(stand_in(), tmp_path)
    stand_in(softmax=False)
    again = card_of("tensorflow:m", tmp_path)
    assert again.notes == first.notes, "the store has it already"
    (tmp_path / "m" / "variables" / "variables.index").write_bytes(b"other numbers")
    other = card_of("tensorflow:m", tmp_path)
    assert not any("softmax" in note for note in other.notes)
    assert other.sha256 != first.sha256


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"type": "string"}, "no images"), ({"sizes": None}, "no images"), ({"sizes": [0, 4]}, "no images"),
        ({"sizes": [8, SIDE, SIDE, 3]}, "no images"), ({"sizes": [0, 16, 8, 3]}, "no square"),
        ({"sizes": [0, 7, 7, 7]}, "no square"), ({"sizes": [0, 8, 8, 3]}, "does not take images"),
        ({"error": "it has no signature 'x', but y"}, "no signature 'x'"),
    ],
)  # fmt: skip
def test_a_program_that_takes_no_images_is_one_message(facts, says, stand_in, tmp_path):
    with pytest.raises(UserError, match=says):
        card_of(stand_in(**facts), tmp_path)


def test_training_that_is_asked_for_by_name_needs_a_graph_that_computes_the_same(stand_in, tmp_path):
    stand_in()
    for runtime in ("torch", "onnxruntime"):
        with pytest.raises(UserError, match="no ONNX form"):
            card_of(f"tensorflow:m?runtime={runtime}", tmp_path)
    with pytest.raises(UserError, match="runtime"):
        card_of("tensorflow:m?runtime=onxruntime", tmp_path)


def test_a_process_that_ends_or_takes_too_long_is_one_message(stand_in, tmp_path, monkeypatch):
    stand_in()
    with pytest.raises(UserError, match="cannot run this program"):
        Conversation(tmp_path / "m", "s", None, "it").ask("answer", [np.zeros((1, 3, 3, 3), np.float32)], names=["map"])
    (tmp_path / "child.py").write_text("import sys; sys.stdin.buffer.readline()")
    with pytest.raises(UserError, match="its process ended"):
        Conversation(tmp_path / "m", "s", None, "it")
    (tmp_path / "child.py").write_text("import time; time.sleep(60)")
    monkeypatch.setattr(tensorflow_process, "LONGEST_SECONDS", 0.2)
    with pytest.raises(UserError, match="its process ended"):
        Conversation(tmp_path / "m", "s", None, "it")


def test_an_unsafe_program_never_reaches_the_process(stand_in, tmp_path):
    stand_in()
    written(tmp_path / "m", message({"__inference_serve_1": ("WriteFile",)}))
    with pytest.raises(UnsafeFileError, match="WriteFile"):
        card_of("tensorflow:m", tmp_path)
    assert not (tmp_path / "log").exists()


def test_without_tensorflow_the_error_names_both_ways(tmp_path, monkeypatch):
    written(tmp_path / "m")
    monkeypatch.setenv("TRANSFUSE_STORE", str(tmp_path / "store"))
    monkeypatch.delenv(INTERPRETER, raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtraError, match=r"pip install tensorflow-cpu tf2onnx.*TRANSFUSE_TENSORFLOW"):
        card_of("tensorflow:m", tmp_path)
    monkeypatch.setenv(INTERPRETER, str(tmp_path / "no-python"))
    with pytest.raises(UserError, match="names no interpreter"):
        card_of("tensorflow:m", tmp_path)


def test_what_cannot_be_started_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv(INTERPRETER, str(tmp_path / "no-python"))
    with pytest.raises(UserError, match="names no interpreter"):
        Conversation(tmp_path, "serve", None, "m")
    (tmp_path / "no-python").write_text("never to be run")
    with pytest.raises(UserError, match="cannot be started"):
        Conversation(tmp_path, "serve", None, "m")
    assert list((tmp_path / "temporary").iterdir()) == []


# What follows needs TensorFlow itself.
MAKE = """
import numpy as np, tensorflow as tf, keras, sys
keras.utils.set_random_seed(0)
make = keras.layers
model = keras.Sequential([
    keras.Input((16, 16, 3)), make.Conv2D(6, 3, strides=2, padding="same"), make.BatchNormalization(name="norm"),
    make.ReLU(6.0), make.DepthwiseConv2D(3, padding="same"), make.Conv2D(8, 1, activation="swish"),
    make.GlobalAveragePooling2D(), make.Dropout(0.5), make.Dense(3, activation="softmax")])
model.get_layer("norm").moving_mean.assign(np.linspace(-0.1, 0.1, 6))
model.export("m")
x = np.load("x.npy").transpose(0, 2, 3, 1)
np.save("answers.npy", model(x, training=False))
class Hostile(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 16, 16, 3])])
    def __call__(self, x):
        tf.io.write_file("written", "x" * 10)
        return tf.reduce_mean(x, [1, 2])
tf.saved_model.save(Hostile(), "hostile")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a network that Keras exported, its answers, and a hostile program."""
    try:
        python = tensorflow_process.interpreter()
    except UserError as error:
        pytest.skip(f"no interpreter has TensorFlow: {error}")
    folder = tmp_path_factory.mktemp("tensorflow")
    np.save(folder / "x.npy", images(SIDE).numpy())
    surroundings = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    surroundings.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python, "-c", MAKE], cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRANSFUSE_STORE", str(folder / "store"))
        yield folder


@pytest.fixture(scope="module")
def opened(made):
    found = {}
    for runtime in ("auto", "onnxruntime", "tensorflow"):
        card = card_of(f"tensorflow:m?runtime={runtime}", made)
        found[runtime] = open_source(card, root=made)
    return found


@pytest.mark.tensorflow
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("runtime", ["auto", "onnxruntime", "tensorflow"])
def test_law(runtime, law, opened, tmp_path):
    law(copy.deepcopy(opened[runtime]), images(SIDE), tmp_path)


@pytest.mark.tensorflow
def test_all_three_ways_give_what_tensorflow_gave_and_one_of_them_trains(made, opened):
    wanted = np.load(made / "answers.npy")
    for runtime, source in opened.items():
        with torch.no_grad():
            found = torch.softmax(source(images(SIDE)), 1).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-5, err_msg=runtime)
    assert [source.card.trainable for source in opened.values()] == [True, False, False]


@pytest.mark.tensorflow
def test_the_hostile_program_is_refused_and_could_not_have_filled_a_file(made):
    with pytest.raises(UnsafeFileError, match="WriteFile"):
        card_of("tensorflow:hostile", made)
    talk = Conversation(made / "hostile", "serving_default", None, "it")
    with pytest.raises(UserError, match="cannot run"):
        # It asks for everything in the program.
        talk.ask("shown", [np.zeros((1, SIDE, SIDE, 3), np.float32)])
    place = Path(talk._empty)
    assert all(path.stat().st_size == 0 for path in place.rglob("written"))
    talk.close()
    assert not place.exists()
