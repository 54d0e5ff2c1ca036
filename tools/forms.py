"""One network in two forms: EfficientNet-Lite0 from its weights and from an ONNX file of it; features and verdict.

    python tools/forms.py [--out DIR]        needs `make assets`

Exports the network, compares its blocks in both forms (and through onnxruntime) on Fashion-MNIST images, then runs the
same recipe twice, each time with one of the forms beside SqueezeNet, and prints what the verdicts say.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from transfuse.data.canvas import batch
from transfuse.data.open import open_data
from transfuse.fusion.exports.onnx import _quiet
from transfuse.plan.recipe import validated
from transfuse.run.run import Request, run
from transfuse.source.open import make_card, open_source

ASSETS = Path(__file__).parents[1] / "assets"
CANVAS, ROWS = 96, 256
WEIGHTS = f"timm:tf_efficientnet_lite0?checkpoint={ASSETS}/lite0.safetensors"
SQUEEZE = {
    "spec": f"file:{ASSETS}/squeezenet.safetensors?arch=torchvision:squeezenet1_1",
    "prepare": {"size": 224, "order": "bgr", "scale": 255, "mean": [103.939, 116.779, 123.68]},
    "seen": "none",
}


def exported(folder: Path) -> Path:
    """The network as an ONNX file with a free batch, for images of the canvas's side."""
    path = folder / "lite0.onnx"
    source = open_source(make_card("lite0", WEIGHTS, root=folder, canvas=CANVAS), root=folder)
    example = torch.rand(2, 3, CANVAS, CANVAS)
    names = {0: torch.export.Dim("n")}
    with _quiet():
        torch.onnx.export(
            source.network, (example,), path, dynamo=True, dynamic_shapes=(names,), external_data=False, verbose=False
        )
    return path


def compared(folder: Path, prepare: dict[str, Any]) -> None:
    """The largest difference of each block in each other form, as a share of the block's largest number."""
    data = open_data(f"idx:{ASSETS}/fashion-mnist", folder)
    images = torch.from_numpy(batch(data, range(ROWS), CANVAS))
    sources = {}
    for name, spec in (
        ("weights", WEIGHTS),
        ("onnx", "onnx:lite0.onnx"),
        ("runtime", "onnx:lite0.onnx?runtime=onnxruntime"),
    ):
        card = make_card(name, spec, root=folder, canvas=CANVAS, prepare=prepare)
        sources[name] = open_source(card, root=folder)
        print(name, "trainable" if card.trainable else "frozen", f"{card.parameters:,} numbers")
    with torch.no_grad():
        blocks = {name: source(images, ["vector", "logits"]) for name, source in sources.items()}
    for name in ("onnx", "runtime"):
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
    exported(folder)
    prepare = {"size": CANVAS, "scale": 255, "mean": 127.5, "std": 127.5}
    compared(folder, prepare)
    for name, spec in (("weights", WEIGHTS), ("onnx", "onnx:lite0.onnx")):
        judged(folder, name, spec, prepare)


if __name__ == "__main__":
    main()
