"""`make bench`: every table, one after the other. Machines are noisy: read medians and ranges, not single figures."""

from __future__ import annotations

from benchmarks import bootstrap, doors, forward, merging, outputs, reporting, scores, search, stack, subsets


def main() -> None:
    tables = (
        ("networks and training", forward.table),
        ("heads trained together", stack.table),
        ("all sets of five sources in closed form", subsets.table),
        ("doors", doors.table),
        ("bootstrap", bootstrap.table),
        ("a large report", reporting.table),
        ("transferability scores", scores.table),
        ("pooled predictions", outputs.table),
        ("a search beside one probe", search.table),
        ("merging files", merging.table),
    )
    for title, rows in tables:
        print(f"\n{title}")
        for row in rows():
            print("  " + row, flush=True)


if __name__ == "__main__":
    main()
