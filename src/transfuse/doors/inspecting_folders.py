"""What a model's folder of Hugging Face's library, or a LoRA adapter's, holds; without it `inspect` would know the
files in it one by one, and not whether they are one model.

The configuration is read as text and the weights by their headers: the library is not imported, and code that lies in
the folder does not run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transfuse.errors import UserError
from transfuse.files.texts import json_object
from transfuse.jsonio import digest

CONFIG, ADAPTER, PROCESSOR = "config.json", "adapter_config.json", "preprocessor_config.json"
INDEX, PICKLED = "model.safetensors.index.json", "pytorch_model.bin"
SHOWN = 3


def is_model(folder: Path) -> bool:
    """Whether a configuration says that this folder is a model or an adapter."""
    return any((folder / name).is_file() for name in (CONFIG, ADAPTER))


def folder_facts(folder: Path, of_file: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """The folder's record, of the keys of `files.weights.describe`: all its weight files together, by `of_file`.

    Unsafe when one of them is, or when there are none. Raises UserError for a configuration that is no JSON.
    """
    adapter = not (folder / CONFIG).is_file()
    settings = json_object(folder / (ADAPTER if adapter else CONFIG), "this model's configuration cannot be read")
    records = {path.name: of_file(path) for path in _weight_files(folder)}
    tensors = {name: shape for record in records.values() for name, shape in record["tensors"].items()}
    bad = [f"{name}: {record['why']}" for name, record in records.items() if not record["safe"]]
    why = bad[0] if bad else "weights as plain numbers; code in the folder never runs"
    why = why if records else f"no weights are here: neither *.safetensors nor {PICKLED}"
    digests = {name: record["sha256"] for name, record in records.items()}
    told = _adapter(folder, settings) if adapter else _model(folder, settings, PICKLED in records)
    record = {
        "kind": "LoRA adapter" if adapter else "Hugging Face model",
        "bytes": sum(record["bytes"] for record in records.values()),
        "sha256": next(iter(digests.values())) if len(digests) == 1 else digest(digests),
        "imports": sorted({name for record in records.values() for name in record["imports"]}),
        "safe": bool(records) and not bad,
        "why": why,
        "tensors": tensors,
        "parameters": sum(record["parameters"] for record in records.values()),
        "dtypes": dict(sorted(sum((Counter(record["dtypes"]) for record in records.values()), Counter()).items())),
        "metadata": {"weights": ", ".join(digests) or "none"} | told,
    }
    screens = _screens(records)
    return record | ({"screen": screens} if screens else {})


def _weight_files(folder: Path) -> list[Path]:
    """Those the index names, else all safetensors files, else the pickled one. Raises UserError where one is absent."""
    index = folder / INDEX
    if index.is_file():
        named = json_object(index, "this index of weight files cannot be read").get("weight_map", {})
        names = {Path(str(name)).name for name in named.values()} if isinstance(named, dict) else set()
        for name in sorted(names):
            if not (folder / name).is_file():
                raise UserError("a weight file that the index names is missing", where=str(index), got=name)
        return [folder / name for name in sorted(names)]
    return sorted(folder.glob("*.safetensors")) or [path for path in (folder / PICKLED,) if path.is_file()]


def _model(folder: Path, settings: Mapping[str, Any], pickled: bool) -> dict[str, str]:
    """Lines on what the configuration says, and on how the folder serves as a source."""
    names = settings.get("id2label")
    classes = [str(name) for name in names.values()] if isinstance(names, dict) else []
    more = ", …" if len(classes) > SHOWN else ""
    told = {
        "architecture": ", ".join(map(str, settings.get("architectures") or ["not told"])),
        "classes": f"{len(classes)} ({', '.join(classes[:SHOWN])}{more})" if classes else "not told",
        **_prepares(folder, settings),
        "as a source": f"hf:{folder}",
    }
    if pickled:
        told["as a source"] = f"not from {PICKLED}: save it anew as safetensors; `transfuse merge` reads it as it is"
    elif "quantization_config" in settings:
        told["as a source"] = "not as it is: its weights are quantised"
    code = sorted(path.name for path in folder.glob("*.py"))
    return told | ({"code": f"{', '.join(code)}: never runs"} if code else {})


def _prepares(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """How the model wants its images, or which words it knows."""
    from transfuse.source.frameworks.hf_texts import TOKENIZER, reads_texts

    what, name = ("reads texts", TOKENIZER) if reads_texts(settings) else ("prepares images", PROCESSOR)
    return {what: f"as {name} says" if (folder / name).is_file() else f"not told: no {name}"}


def _adapter(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    base = str(settings.get("base_model_name_or_path") or "not told")
    return {"changes": base, "rank": str(settings.get("r", "not told")), "as a source": f"hf:BASE?adapter={folder}"}


def _screens(records: Mapping[str, Mapping[str, Any]]) -> str:
    """What is unusual in the numbers, said once where all files say the same."""
    said = {name: str(record["screen"]) for name, record in records.items() if "screen" in record}
    if len(set(said.values())) <= 1:
        return next(iter(said.values()), "")
    return "; ".join(f"{name}: {words}" for name, words in said.items())
