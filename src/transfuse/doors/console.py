"""What a person at a terminal sees of a run: a bar with the time left, or a line now and then without a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from transfuse.errors import printable

LINE_SECONDS = 5.0
SMALLEST_STEP = 0.01


@dataclass
class Progress:
    """Listens to a run's events. The bar moves by forecast seconds, so one long training counts as what it is."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    forecast: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    inside: dict[str, float] = field(default_factory=dict)
    reached: float = 0.0
    began: float = field(default_factory=time.monotonic)
    last_line: float = 0.0
    said: str = ""
    bar: Any = None
    task: Any = None

    def __call__(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "forecast":
            self.forecast = {name: max(seconds, SMALLEST_STEP) for name, seconds in event["steps"].items()}
            self.began, self.reached = time.monotonic(), 0.0
            self._open()
        elif kind == "progress" and event.get("of"):
            self.inside[event["step"]] = event["done"] / event["of"]
        elif kind == "step_done":
            self.done[event["step"]] = self.forecast.get(event["step"], SMALLEST_STEP)
            self.inside.pop(event["step"], None)
        elif kind == "out_of_time":
            self._say(f"time is up; not finished: {', '.join(event['dropped']) or 'nothing'}")
        elif kind == "out_of_memory" and "halved_to" in event:
            self._say(f"not enough memory for batches of {event['batch']}: they are halved")
        elif kind == "tracked":
            self._say(f"told: {event['where']}")
        elif kind == "not_tracked":
            self._say(f"not told to {event['by']}: {event['why']}; the run itself is whole, run again to tell of it")
        if kind in ("step_started", "progress", "step_done"):
            self._show(event["step"])

    @property
    def share(self) -> float:
        """How much of the forecast is done, in [0, 1]."""
        total = sum(self.forecast.values()) + sum(
            seconds for name, seconds in self.done.items() if name not in self.forecast
        )
        partly = sum(part * self.forecast.get(name, SMALLEST_STEP) for name, part in self.inside.items())
        return min((sum(self.done.values()) + partly) / total, 1.0) if total else 0.0

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.update(self.task, completed=1.0, what="done")
            self.bar.stop()
            self.bar = None

    def _open(self) -> None:
        if not self.stream.isatty():
            self._say(f"{len(self.forecast)} steps, about {sum(self.forecast.values()):.0f} s of computing")
            return
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[what]}", markup=False),
        )
        self.bar = Bar(*columns, console=Console(file=self.stream), transient=True)
        self.task = self.bar.add_task("", total=1.0, what="")
        self.bar.start()

    def _show(self, step: str) -> None:
        # A training that tries several rates begins anew with each, and nobody wants to see a bar go back.
        self.reached = max(self.reached, self.share)
        if self.bar is not None:
            self.bar.update(self.task, completed=self.reached, what=step)
        elif self.forecast and time.monotonic() - self.last_line > LINE_SECONDS:
            self.last_line = time.monotonic()
            elapsed = self.last_line - self.began
            left = elapsed * (1 - self.reached) / self.reached if self.reached > 0.02 else sum(self.forecast.values())
            self._say(f"{100 * self.reached:3.0f} %  about {left:.0f} s left  {step}")
        elif not self.forecast and step.startswith(("index", "card")) and step != self.said:
            self.said = step
            self._say("reading the data" if step == "index" else f"looking at {step.removeprefix('card ')}")

    def _say(self, text: str) -> None:
        self.stream.write(printable(text) + "\n")
        self.stream.flush()
