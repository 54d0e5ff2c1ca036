"""`make bench`: every table, one after the other. Machines are noisy: read medians and ranges, not single figures."""

from __future__ import annotations

from benchmarks import doors, forward


def main() -> None:
    for title, rows in (("networks and training", forward.table), ("doors", doors.table)):
        print(f"\n{title}")
        for row in rows():
            print("  " + row)


if __name__ == "__main__":
    main()
