"""A run's folder and a model's by the names of their files; without it each room would spell these names anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# What a saved model's folder holds.
DESCRIPTION, TENSORS = "model.json", "model.safetensors"


def file_name(arm: str) -> str:
    """An arm's name, or a split's, as a folder's name."""
    return arm.replace("/", ".").replace(":", ".")


def model_place(arm: str) -> str:
    """Where an arm's model lies in a run's folder."""
    return f"models/{file_name(arm)}"


@dataclass(frozen=True)
class Folder:
    """A run's folder by the names of its files."""

    path: Path

    @property
    def evidence(self) -> Path:
        """Every row of evidence and the verdict. It is written last: its presence means that all is there."""
        return self.path / "evidence.json"

    @property
    def measurements(self) -> Path:
        return self.path / "measurements.json"

    @property
    def thumbnails(self) -> Path:
        return self.path / "thumbnails.json"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def markdown(self) -> Path:
        return self.path / "report.md"

    @property
    def lock(self) -> Path:
        """The recipe with every default written out."""
        return self.path / "recipe.lock.yaml"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    @property
    def models(self) -> tuple[Path, ...]:
        """The folders of the models that lie here."""
        place = self.path / "models"
        return tuple(sorted(path for path in place.iterdir() if path.is_dir())) if place.is_dir() else ()

    @property
    def history(self) -> Path:
        """Results of other plans that this folder once held."""
        return self.path / "history"

    @property
    def state(self) -> Path:
        return self.path / ".state.json"

    def model(self, arm: str) -> Path:
        """The folder of this arm's model."""
        return self.path / model_place(arm)

    @property
    def delivered(self) -> tuple[Path, ...]:
        """What moves to `history` when another plan's results take its place."""
        return (self.evidence, self.measurements, self.report, self.markdown, self.lock, self.thumbnails)
