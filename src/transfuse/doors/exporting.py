"""The shipped model as one graph file; without it a run's winner could only be used from Python with this package."""

from __future__ import annotations

from pathlib import Path

from transfuse import __version__
from transfuse.doors.predicting import canvas_of, classes_of, model_folder, opened
from transfuse.errors import UserError
from transfuse.fields import COLUMNS, IMAGE, TEXT, named, parts
from transfuse.jsonio import canonical
from transfuse.registry import shelf

READS = {TEXT: "its tokenizer", COLUMNS: "what reads its columns"}


def forms() -> list[str]:
    """The forms that a model can be exported in."""
    return list(shelf("fusion/exports"))


def exported_model(path: Path, form: str, out: Path | None) -> Path:
    """Export the model of a run or of a model's folder; gives the file's path.

    Its classes, canvas and origin travel with it as text by name.
    """
    from transfuse.fusion.graph import export

    folder = model_folder(path)
    source, description = opened(folder)
    other = next((part for part in parts(source.card.field) if part != IMAGE), None)
    if other is not None:
        raise UserError(
            f"a model of {named(source.card.field)} has no form {form}: {READS[other]} is no part of a graph",
            where=str(folder),
            hint="the folder itself is the model: transfuse.load(folder) reads it, transfuse predict uses it",
        )
    facts = {
        "classes": canonical(list(classes_of(source, description))),
        "canvas": str(canvas_of(description, folder)),
        "arm": str(description.get("arm", source.card.name)),
        "sha256": str(description["sha256"]),
        "made_by": f"transfuse {__version__}",
        **{name: str(value) for name, value in (description.get("origin") or {}).items() if name != "made_by"},
        **{name: canonical(description[name]) for name in ("familiar", "table") if name in description},
        **({} if source.kind == "multiclass" else {"task": source.kind}),
    }
    suffix = shelf("fusion/exports")[form].traits["suffix"]
    return export(source, form, int(facts["canvas"]), out or folder / f"model{suffix}", facts)
