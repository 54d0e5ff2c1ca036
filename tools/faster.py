"""How much faster a fusion is trained: time until a target that was fixed beforehand, in every unit, at three horizons.

    .venv/bin/python tools/assets.py && .venv/bin/python tools/faster.py

recipes/faster.yaml is run with 4, 12 and 36 epochs for every arm, since a learning rate that falls to zero is best at
its own end: an arm's time is that at the horizon where it is shortest, and the sum over all horizons is what finding
that out costs. Runs that never arrive count as long as they were watched, and are told. The table is printed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from transfuse.plan.recipe import validated
from transfuse.plan.text import loaded, text_of
from transfuse.run.run import Request
from transfuse.run.run import run as run_recipe

UNITS = {"items": "time_to_target_items", "cold": "time_to_target_flops", "warm": "time_to_target_flops_warm"}
SECONDS = "time_to_target_seconds"
ARMS = ("recipient", "frozen/lite0", "frozen/squeeze", "fused", "pruned", "selected")
BASE = "recipient"
# Of each column, what one unit of it is, and its decimals.
SCALES = {"items": (1.0, 0), "cold": (1e6, 0), "warm": (1e6, 1), "seconds": (1.0, 2)}
Rows = dict[tuple[str, str], dict[str, Any]]


def run(recipe: Path, epochs: int, out: Path) -> Path:
    """The recipe with so many epochs for every arm; its folder."""
    given = loaded(text_of(recipe), where=str(recipe))
    given["train"] = {regime: {**settings, "epochs": epochs} for regime, settings in given["train"].items()}
    run_recipe(Request(validated(given, where=str(recipe)), recipe.parent.resolve(), out))
    return out


def told(out: Path) -> Rows:
    """The rows of one run by unit and arm."""
    rows = json.loads((out / "evidence.json").read_text(encoding="utf-8"))["evidence"]
    timed = json.loads((out / "measurements.json").read_text(encoding="utf-8"))["measurements"]
    found = {(unit, row["arm"]): row for row in rows for unit, name in UNITS.items() if row["quantity"] == name}
    return found | {("seconds", row["arm"]): row for row in timed if row["quantity"] == SECONDS}


def line(arm: str, runs: dict[int, Rows]) -> str:
    """One arm's times at its best horizon, and how many times faster than the base at its own."""
    best, base = _best(arm, runs), _best(BASE, runs)
    if best is None:
        seen = [rows["items", arm]["provenance"]["horizon"] for rows in runs.values() if ("items", arm) in rows]
        return f"| {arm} | never, watched for {max(seen, default=0):,.0f} items | | | | | |"
    lost, of = _lost(runs[best]["items", arm])
    cells = [arm, f"{best}, {of - lost} of {of}"]
    # Times that were cut off are no match for whole ones.
    fair = arm != BASE and base is not None and not lost and not _lost(runs[base]["items", BASE])[0]
    for unit in SCALES:
        own = runs[best].get((unit, arm), {}).get("value")
        other = runs[base].get((unit, BASE), {}).get("value") if base is not None and fair else None
        found = _figure(unit, runs[best].get((unit, arm), {}))
        cells.append(found + (f"; × {other / own:,.1f}" if own and other else ""))
    every = [rows["cold", arm]["value"] for rows in runs.values() if "value" in rows.get(("cold", arm), {})]
    cells.append(f"{sum(every) / SCALES['cold'][0]:,.0f}")
    return f"| {' | '.join(cells)} |"


def _figure(unit: str, row: dict[str, Any]) -> str:
    """A value with its interval, in the column's own unit."""
    if "value" not in row:
        return "–"
    scale, places = SCALES[unit]
    ends = [row[end] / scale for end in ("low", "high") if row.get(end) is not None]
    reach = f" [{', '.join(f'{end:,.{places}f}' for end in ends)}]" if len(ends) == 2 else ""
    return f"{row['value'] / scale:,.{places}f}{reach}"


def _lost(row: dict[str, Any]) -> tuple[int, int]:
    """How many runs did not arrive, and how many there are."""
    return row["provenance"]["censored"], len(row["provenance"]["by_run"])


def _best(arm: str, runs: dict[int, Rows]) -> int | None:
    """The horizon at which an arm needs least compute; of those at which most runs arrive."""
    known = {
        epochs: (_lost(rows["warm", arm])[0], rows["warm", arm]["value"])
        for epochs, rows in runs.items()
        if "value" in rows.get(("warm", arm), {})
    }
    return min(known, key=lambda epochs: known[epochs]) if known else None


def main() -> None:
    """Run, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--recipe", type=Path, default=Path("recipes/faster.yaml"))
    words.add_argument("--out", type=Path, default=Path("runs/faster"))
    words.add_argument("--horizons", type=int, nargs="+", default=[4, 12, 36])
    given = words.parse_args()
    runs = {epochs: told(run(given.recipe, epochs, given.out / str(epochs))) for epochs in given.horizons}
    columns = ("arm", "epochs, runs that arrive", "items", "MFLOP, cold", "MFLOP, features kept", "CPU seconds")
    print(f"| {' | '.join([*columns, 'MFLOP, cold, all horizons'])} |\n|{'---|' * 7}")
    for arm in ARMS:
        print(line(arm, runs), flush=True)


if __name__ == "__main__":
    main()
