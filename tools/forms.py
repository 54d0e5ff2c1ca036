"""One network in several forms: EfficientNet-Lite0 from its weights, as ONNX, Keras and TensorFlow have it.

    python tools/forms.py [--out DIR]        needs `make assets`; TensorFlow's forms where TRANSFUSE_TENSORFLOW names it

Compares its blocks in every form on Fashion-MNIST images, then runs the same recipe with each of them beside SqueezeNet
and prints what the verdicts say.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import torch

from keras_twin import keras_twin, saved_model
from transfuse.data.canvas import batch
from transfuse.data.open import open_data
from transfuse.fusion.exports.onnx import _quiet
from transfuse.plan.recipe import validated
from transfuse.run.run import Request, run
from transfuse.source.frameworks.tensorflow_process import INTERPRETER
from transfuse.source.open import make_card, open_source

ASSETS = Path(__file__).parents[1] / "assets"
CANVAS, ROWS = 96, 256
WEIGHTS = f"timm:tf_efficientnet_lite0?checkpoint={ASSETS}/lite0.safetensors"
SQUEEZE = {
    "spec": f"file:{ASSETS}/squeezenet.safetensors?arch=torchvision:squeezenet1_1",
    "prepare": {"size": 224, "order": "bgr", "scale": 255, "mean": [103.939, 116.779, 123.68]},
    "seen": "none",
}


def exported(folder: Path) -> dict[str, str]:
    """The specs of all forms that can be made here, the weights' own first; files are made that are not there yet."""
    source = open_source(make_card("lite0", WEIGHTS, root=folder, canvas=CANVAS), root=folder)
    graph, archive = folder / "lite0.onnx", folder / "lite0.keras"
    if not graph.is_file():
        example, names = torch.rand(2, 3, CANVAS, CANVAS), {0: torch.export.Dim("n")}
        with _quiet():
            torch.onnx.export(
                source.network,
                (example,),
                graph,
                dynamo=True,
                dynamic_shapes=(names,),
                external_data=False,
                verbose=False,
            )
    forms = {"weights": WEIGHTS, "onnx": "onnx:lite0.onnx", "onnxruntime": "onnx:lite0.onnx?runtime=onnxruntime"}
    if not archive.is_file():
        keras_twin(source.network, CANVAS, archive)
    forms["keras"] = "keras:lite0.keras"
    if os.environ.get(INTERPRETER):
        if not (folder / "saved").is_dir():
            saved_model(archive, folder / "saved")
        forms |= {"tensorflow": "tensorflow:saved", "savedmodel": "tensorflow:saved?runtime=tensorflow"}
    return forms


def compared(folder: Path, prepare: dict[str, Any], forms: dict[str, str]) -> None:
    """The largest difference of each block in each other form, as a share of the block's largest number."""
    data = open_data(f"idx:{ASSETS}/fashion-mnist", folder)
    images = torch.from_numpy(batch(data, range(ROWS), CANVAS))
    sources = {}
    for name, spec in forms.items():
        card = make_card(name, spec, root=folder, canvas=CANVAS, prepare=prepare)
        sources[name] = open_source(card, root=folder)
        print(name, "trainable" if card.trainable else "frozen", f"{card.parameters:,} numbers")
    with torch.no_grad():
        blocks = {name: source(images, ["vector", "logits"]) for name, source in sources.items()}
    for name in list(forms)[1:]:
        for tap, block in blocks["weights"].items():
            gap = float((blocks[name][tap] - block).abs().max() / block.abs().max())
            print(f"{name}, {tap}: largest difference {gap:.1e} of the largest number, {ROWS} images at {CANVAS} px")


def judged(folder: Path, name: str, spec: str, prepare: dict[str, Any]) -> None:
    """The verdict with lite0 in one of its forms."""
    recipe = {
        "sources": {"lite0": {"spec": spec, "prepare": prepare, "seen": "none"}, "squeeze": SQUEEZE},
        "data": {
            "read": f"idx:{ASSETS}/fashion-mnist", "splits": {"train": 300, "val": 150, "test": 600}, "canvas": CANVAS
        },
        "candidates": ["features/concat", "features/gate"], "ladder": "quick", "seeds": 2,
        "run": {"store": str(folder / "store")},
    }  # fmt: skip
    found = run(Request(validated(recipe, where=name), folder, folder / name)).evidence["verdict"]
    print(f"{name}: ship {found['recommendation']['arm']}; {found['recommendation']['why']}")
    for claim in found["claims"]:
        print(
            f"  {claim['arm']} against {claim['versus']}, {claim['quantity']}: {claim['status']}. {claim['sentence']}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/forms"))
    folder = parser.parse_args().out.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    forms = exported(folder)
    prepare = {"size": CANVAS, "scale": 255, "mean": 127.5, "std": 127.5}
    compared(folder, prepare, forms)
    for name, spec in forms.items():
        if name != "onnxruntime":
            judged(folder, name, spec, prepare)


if __name__ == "__main__":
    main()
