"""`make bench`: every table, one after the other. Machines are noisy: read medians and ranges, not single figures.

.venv/bin/python -m benchmarks                     all of them
.venv/bin/python -m benchmarks outputs search      some
"""

from __future__ import annotations

import argparse
import importlib

TITLES = {
    "forward": "networks and training",
    "stack": "heads trained together",
    "subsets": "all sets of five sources in closed form",
    "doors": "doors",
    "bootstrap": "bootstrap",
    "reporting": "a large report",
    "scores": "transferability scores",
    "outputs": "pooled predictions",
    "search": "a search beside one probe",
    "growth": "what more items cost",
    "engines": "what an engine adds to every step",
    "ranks": "one training by several processes",
    "merging": "merging files",
    "urls": "merging from a web server",
    "compress": "a fusion compressed",
}


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed, as ratios measured side by side.")
    words.add_argument("topics", nargs="*", metavar="TOPIC", help=", ".join(TITLES) + "; all without one")
    topics = words.parse_args().topics
    if unknown := set(topics) - TITLES.keys():
        words.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(TITLES)}")
    for topic in topics or TITLES:
        print(f"\n{TITLES[topic]}")
        for row in importlib.import_module(f"benchmarks.{topic}").table():
            print("  " + row, flush=True)


if __name__ == "__main__":
    main()
