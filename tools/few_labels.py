"""Few labels a class: what more data out of what the sources know is worth, beside the same training without it.

    .venv/bin/python tools/assets.py mnist && .venv/bin/python tools/few_labels.py

MNIST, on the demo's three networks (frozen, pretrained on another set): a fusion of 64 columns learns from 10, 20, 50
and 100 labels a class, as they are, with mixed or drawn features, with whichever of these a probe of the sources
chooses (`guided`), with 3,000 unlabelled images beside, or answering by the mean over five views (`viewed`). What is
chosen is chosen on 300 further labelled rows; 3,000 rows are judged. Each count is a run of its own in --out, with a
report; the table is printed. The claim is the one after correction over all candidates of the run; --arms names some.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transfuse

SOURCES = {name: {"spec": f"demo:{name}", "seen": "none"} for name in ("residual", "vgg", "depthwise")}
BASE = {"fuse": "features/concat", "project": 64}
AUGMENT = ("feature_mixup", "feature_sampling", "guided")
HEARING = ("pseudo_labels", "consistency")
ARMS = ("labels", *AUGMENT, *HEARING, "taught", "viewed")


def run(assets: Path, count: int, seeds: int, out: Path, names: Sequence[str]) -> transfuse.Study:
    """One run with so many labels a class."""
    arms: dict[str, Any] = {"labels": BASE}
    arms |= {name: {**BASE, "train": {"regime": "frozen", "augment": name}} for name in AUGMENT}
    arms |= {name: {**BASE, "train": {"regime": "frozen", "objective": name, "stream": "pool"}} for name in HEARING}
    taught = {"regime": "frozen", "objective": "pseudo_labels", "teacher": "ensemble", "stream": "pool"}
    arms |= {"taught": {**BASE, "train": taught}, "viewed": {"compress": "views", "of": "labels"}}
    arms = {name: arm for name, arm in arms.items() if name in names}
    data = {
        "read": f"idx:{(assets / 'mnist').resolve()}",
        "canvas": 28,
        "splits": {"per_class": count, "val": 300, "test": 3000},
        "extra": {"pool": {"take": 3000}},
    }
    return transfuse.compare(
        SOURCES, data, candidates=arms, ladder="quick", judge={"test": "all"}, task={"also": ["accuracy"]},
        seeds=seeds, out=out, title=f"MNIST, {count} labels a class",
    )  # fmt: skip


def told(study: transfuse.Study, count: int, names: Sequence[str]) -> list[str]:
    """A line an arm: accuracy, log-loss, and log-loss minus the same training without it, with the claim."""
    known = {(row["arm"], row["versus"], row["quantity"]): row for row in study.evidence if row["condition"] == "clean"}
    status = {(claim["arm"], claim["versus"], claim["quantity"]): claim["status"] for claim in study.verdict["claims"]}
    lines = []
    for arm in ("ensemble", *names):
        own = known[arm, None, "accuracy"]
        loss = known[arm, None, "log_loss"]
        cells = [
            f"{100 * own['value']:.1f} [{100 * own['low']:.1f}, {100 * own['high']:.1f}]",
            f"{loss['value']:.3f} [{loss['low']:.3f}, {loss['high']:.3f}]",
        ]
        plain = "labels" if arm == "viewed" else f"{arm}/untaught"
        row, said = known.get((arm, plain, "log_loss")), status.get((arm, plain, "log_loss"), "")
        cells.append("" if row is None else f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}], {said}")
        lines.append(f"| {count} | {arm} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Run, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--assets", type=Path, default=Path("assets"))
    words.add_argument("--out", type=Path, default=Path("runs/few-labels"))
    words.add_argument("--counts", type=int, nargs="+", default=[10, 20, 50, 100])
    words.add_argument("--seeds", type=int, default=5)
    words.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    given = words.parse_args()
    print("| labels a class | arm | accuracy, % | log-loss | minus itself without |\n|--:|---|---|---|---|")
    for count in given.counts:
        study = run(given.assets, count, given.seeds, given.out / str(count), given.arms)
        print("\n".join(told(study, count, given.arms)), flush=True)


if __name__ == "__main__":
    main()
