"""Labels from one place, judged in another: what adapting to unlabelled images of the other place is worth.

    .venv/bin/python tools/assets.py mnist && .venv/bin/python tools/shifts.py

MNIST as it is, and judged turned by 45 degrees, inverted, on coloured ground, or as scikit-learn's digits (and the
other way round). The demo's three networks are frozen; a fusion of 64 columns on top is trained on labelled rows of
the first place, alone or with 2,000 unlabelled images of the other. Epochs, learning rate and temperature are chosen on
labelled rows of the first place, never on labels of the other; `oracle` is trained there. Each set is a run of its own
in --out, with a report; the table is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import transfuse
from transfuse.data.open import open_data
from transfuse.seeds import stream

Rows = tuple[np.ndarray, np.ndarray]
SIDE, TURN = 28, 45
SOURCES = {name: {"spec": f"demo:{name}", "seen": "none"} for name in ("residual", "vgg", "depthwise")}
OBJECTIVES = ("adabn", "coral", "mmd", "dann", "shot", "pseudo_labels", "consistency")
BASE = {"fuse": "features/concat", "project": 64}


def turned(images: np.ndarray) -> np.ndarray:
    """Each image turned about its middle, black around it."""
    return np.stack([np.asarray(Image.fromarray(one).rotate(TURN, Image.Resampling.BILINEAR)) for one in images])


def inverted(images: np.ndarray) -> np.ndarray:
    return 255 - images


def coloured(images: np.ndarray) -> np.ndarray:
    """White strokes on a ground of one random colour an image. [N, S, S, 3]"""
    ground = stream("shifts", "ground").integers(0, 200, size=(len(images), 1, 1, 3))
    stroke = images[..., None].astype(np.float64) / 255.0
    return np.rint(stroke * 255 + (1 - stroke) * ground).astype(np.uint8)


def mnist(folder: Path, count: int) -> Rows:
    """Images and digits: so many rows of the training file, then as many of the test file."""
    data = open_data({"read": f"idx:{folder / 'mnist'}"}, Path.cwd())
    rows = [*range(count), *range(60_000, 60_000 + count)]
    return np.stack([data.raw(row) for row in rows]), data.items.targets()[rows]


def digits() -> Rows:
    """scikit-learn's digits, enlarged to the side of MNIST's."""
    found = load_digits()
    small = np.rint(found.images * (255 / 16)).astype(np.uint8)
    sized = [np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for one in small]
    return np.stack(sized), found.target


def sets(folder: Path) -> dict[str, tuple[Rows, Rows]]:
    """{shift: (labelled rows of the first place, rows of the other: pool, oracle's and judged ones in this order)}."""
    images, targets = mnist(folder, 6000)
    first, other = (images[:1600], targets[:1600]), (images[-6000:], targets[-6000:])
    changes: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
        "turned": turned, "inverted": inverted, "coloured": coloured,
    }  # fmt: skip
    found = {name: (first, (change(other[0]), other[1])) for name, change in changes.items()}
    small = digits()
    found["digits"] = (first, small)
    found["from digits"] = ((small[0][:1600], small[1][:1600]), other)
    return found


def written(folder: Path, name: str, first: Rows, other: Rows) -> tuple[Path, Path, Path]:
    """The data of both places, its pool, and the oracle's data: train, val and judged rows as npz."""
    folder.mkdir(parents=True, exist_ok=True)
    third = len(other[0]) // 3
    pool, own, judged = ((other[0][at : at + third], other[1][at : at + third]) for at in (0, third, 2 * third))
    # A coloured ground needs three channels on both sides.
    wide = other[0].ndim == 4
    files = []
    for kind, (images, targets) in (("data", first), ("oracle", own)):
        held = len(images) * 3 // 4
        alike = np.repeat(images[..., None], 3, axis=3) if wide and images.ndim == 3 else images
        files.append(folder / f"{name.replace(' ', '-')}-{kind}.npz")
        split = ["train"] * held + ["val"] * (len(images) - held) + ["test"] * len(judged[0])
        np.savez(
            files[-1],
            x=np.concatenate([alike, judged[0]]),
            y=np.concatenate([targets, judged[1]]).astype(str),
            split=np.array(split),
        )
    files.append(folder / f"{name.replace(' ', '-')}-pool.npz")
    np.savez(files[-1], x=pool[0], y=pool[1].astype(str))
    return files[0], files[2], files[1]


def run(data: Path, pool: Path | None, out: Path, seeds: int) -> transfuse.Study:
    """One run: the fusion on labels alone, and, where there is a pool, with each objective that hears it."""
    arms: dict[str, Any] = {"labels": BASE}
    if pool is not None:
        arms |= {
            name: {**BASE, "train": {"regime": "frozen", "objective": name, "stream": "pool"}} for name in OBJECTIVES
        }
    extra = {} if pool is None else {"extra": {"pool": {"read": f"npz:{pool.resolve()}", "take": 2000}}}
    return transfuse.compare(
        SOURCES, {"read": f"npz:{data.resolve()}", "canvas": SIDE, **extra}, candidates=arms, ladder="quick",
        judge={"test": "all"}, seeds=seeds, out=out, title=f"Labels of another place: {out.name}",
    )  # fmt: skip


def told(study: transfuse.Study, arm: str) -> str:
    """Accuracy with its interval, and the difference to the same network on labels alone."""
    known = {(row["arm"], row["versus"]): row for row in study.evidence if row["quantity"] == "accuracy"}
    own = known[arm, None]
    cells = f"{100 * own['value']:.1f} [{100 * own['low']:.1f}, {100 * own['high']:.1f}]"
    row = known.get((arm, f"{arm}/untaught"))
    if row is None or "value" not in row:
        return f"{cells} |"
    return f"{cells} | {100 * row['value']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def main() -> None:
    """Write, run, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--assets", type=Path, default=Path("assets"))
    words.add_argument("--out", type=Path, default=Path("runs/shifts"))
    words.add_argument("--seeds", type=int, default=5)
    words.add_argument("--only", nargs="*", help="some of the shifts by name")
    given = words.parse_args()
    print("| judged on | arm | accuracy, % | minus itself without the unlabelled images |\n|---|---|---|---|")
    for name, (first, other) in sets(given.assets).items():
        if given.only and name not in given.only:
            continue
        data, pool, own = written(given.assets / "shifts", name, first, other)
        adapted = run(data, pool, given.out / name, given.seeds)
        oracle = run(own, None, given.out / f"{name}, oracle", given.seeds)
        for arm in ("ensemble", "labels", *OBJECTIVES):
            print(f"| {name} | {arm} | {told(adapted, arm)} |", flush=True)
        print(f"| {name} | oracle | {told(oracle, 'labels')} |", flush=True)
        print(f"{name}: ships {adapted.winner}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
