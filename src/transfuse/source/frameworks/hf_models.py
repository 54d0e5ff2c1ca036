"""Models of Hugging Face's library, loaded as they are and in no other way: without this file a folder in half
precision, a missing head or a line of remote code would come in unseen."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transfuse.errors import UserError, first_line, missing_extra
from transfuse.files.texts import json_object
from transfuse.source import prepare
from transfuse.source.frameworks import hf_texts, hf_zero_shot
from transfuse.source.hub import offline
from transfuse.source.text_models import Transformer
from transfuse.types import Prepare

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
HEADED = {"ForImageClassification": "AutoModelForImageClassification", **hf_texts.HEADED}


class Headless(nn.Module):
    """A backbone without a classifier: prepared images in, its last block averaged over tokens or plane out [N, D]."""

    headless = True

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        last = self.backbone(images).last_hidden_state
        return last.mean((2, 3)) if last.dim() == 4 else last.mean(1)


def package(where: str) -> Any:
    """The library. Raises MissingExtraError where it is not installed."""
    try:
        with warnings.catch_warnings():
            # What it says of other packages that are there, or not, is nothing a user of a model can act on.
            warnings.simplefilter("ignore")
            import transformers
    except ImportError as error:
        raise missing_extra("transformers", "huggingface", f"'{where}'") from error
    return transformers


@contextlib.contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Inside, the library draws no bars and logs errors only."""
    said, hub = library.utils.logging, logging.getLogger("huggingface_hub")
    level, bars, hub_level = said.get_verbosity(), said.is_progress_bar_enabled(), hub.level
    hub.setLevel(logging.ERROR)
    said.set_verbosity_error()
    said.disable_progress_bar()
    try:
        yield
    finally:
        hub.setLevel(hub_level)
        said.set_verbosity(level)
        if bars:
            said.enable_progress_bar()


def found(place: str, revision: str | None, where: str) -> dict[str, Path]:
    """The configuration, and what there is of the image processor, or a model of texts' tokenizer: in a folder, else
    from the cache, else the hub.

    Raises UserError where nothing is there, or the hub is out of reach.
    """
    if Path(place).is_dir():
        there = {name: Path(place) / name for name in (CONFIG, PROCESSOR, hf_texts.TOKENIZER)}
        if not there[CONFIG].is_file():
            raise UserError("this folder holds no model", where=where, expected=CONFIG)
        return {name: path for name, path in there.items() if path.is_file()}
    library = package(where)
    with _quiet(library):
        made = {name: _fetched(library, place, name, revision, where) for name in (CONFIG, PROCESSOR)}
        config = made[CONFIG]
        settings = {} if config is None else _read(config, where)
        if hf_texts.reads_texts(settings) or hf_zero_shot.reads_both(settings):
            made[hf_texts.TOKENIZER] = _fetched(library, place, hf_texts.TOKENIZER, revision, where)
    return {name: path for name, path in made.items() if path is not None}


def _fetched(library: Any, place: str, name: str, revision: str | None, where: str) -> Path | None:
    """One small file by name; the cache is asked before the network, which may not be there."""
    alone = offline()
    for local in (True,) if alone else (True, False):
        try:
            path = library.utils.cached_file(place, name, revision=revision, local_files_only=local)
        except OSError as error:
            if name in (PROCESSOR, hf_texts.TOKENIZER):
                return None
            if local and not alone:
                continue
            raise UserError(
                f"'{place}' is no folder here, and the hub does not give it",
                where=where,
                got=first_line(error),
                hint="check the name, connect to the network, or give the folder of a model (hf:DIR)",
            ) from error
        return None if path is None else Path(path)
    return None


def loaded(
    place: str, revision: str | None, files: Mapping[str, Path], where: str
) -> tuple[nn.Module, tuple[str, ...]]:
    """The model with its weights in float32, and what there is to note.

    Raises UserError where weights are missing, unexpected in shape or quantised, and for a model that needs code of its
    own.
    """
    settings, notes = _settings(files, where), ()
    library = package(where)
    stored = settings.get("dtype") or settings.get("torch_dtype") or "float32"
    if stored != "float32":
        notes = (f"stored as {stored}, computed in float32",)
    kind = _kind(library, settings)
    try:
        with _quiet(library):
            model, info = kind.from_pretrained(
                place, revision=revision, dtype=torch.float32, use_safetensors=True, trust_remote_code=False,
                local_files_only=Path(place).is_dir(), output_loading_info=True,
            )  # fmt: skip
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise _cannot(error, where) from error
    if missing := sorted(name for name in info["missing_keys"] if "pooler" not in name):
        raise UserError(
            "weights are missing, so a part of this model would be drawn at random",
            where=where,
            got=", ".join(missing[:5]),
        )
    return _network(model, settings), notes


def drawn(files: Mapping[str, Path], where: str) -> nn.Module:
    """The model without pretrained weights, from PyTorch's stream."""
    settings, library = _settings(files, where), package(where)
    try:
        with _quiet(library):
            config = library.AutoConfig.from_pretrained(files[CONFIG].parent, local_files_only=True)
            model = _kind(library, settings).from_config(config, dtype=torch.float32, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise _cannot(error, where) from error
    return _network(model, settings)


def _kind(library: Any, settings: Mapping[str, Any]) -> Any:
    return getattr(library, _headed(settings) or "AutoModel")


def _headed(settings: Mapping[str, Any]) -> str:
    """The library's class for a model with a classifier; empty for a backbone."""
    given = settings.get("architectures")
    names = [str(name) for name in given] if isinstance(given, list) else []
    return next((kind for end, kind in HEADED.items() if any(name.endswith(end) for name in names)), "")


def _network(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    if hf_zero_shot.reads_both(settings) and hasattr(model, "get_image_features"):
        return hf_zero_shot.Pair(model).eval()
    if hf_texts.reads_texts(settings):
        # What a pooler makes of the first token is read by nobody, and often drawn at random.
        if not _headed(settings) and getattr(model, "pooler", None) is not None:
            model.pooler = None  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
        return Transformer(model, headed=bool(_headed(settings)), padding=hf_texts.padding(settings)).eval()
    return (model if _headed(settings) else Headless(model)).eval()


def _cannot(error: BaseException, where: str) -> UserError:
    return UserError(
        "this model cannot be loaded",
        where=where,
        got=first_line(error),
        hint="safetensors of an architecture that the library has itself; code from a model's folder never runs",
    )


def _settings(files: Mapping[str, Path], where: str) -> dict[str, Any]:
    settings = _read(files[CONFIG], where)
    if "quantization_config" in settings:
        raise UserError("a quantised model is no source: its weights are no numbers that train", where=where)
    return settings


def _read(path: Path, where: str) -> dict[str, Any]:
    return json_object(path, f"{path.name} of '{where}' cannot be read")


def classes(files: Mapping[str, Path], where: str) -> tuple[str, ...]:
    """The class names, in the order of the scores; none where they are only numbered or there is no head."""
    settings = _read(files[CONFIG], where)
    given = settings.get("id2label") or {}
    if (
        not _headed(settings)
        or not isinstance(given, dict)
        or sorted(map(str, given)) != sorted(map(str, range(len(given))))
    ):
        return ()
    names = tuple(str(given[str(number)]) for number in range(len(given)))
    return () if all(name == f"LABEL_{number}" for number, name in enumerate(names)) else names


def prepare_of(files: Mapping[str, Path], where: str) -> Prepare | None:
    """How the image processor prepares images; None where there is none."""
    if PROCESSOR not in files:
        return None
    given = _read(files[PROCESSOR], where)
    size = _side(given.get("crop_size") if given.get("do_center_crop") else None) or _side(given.get("size"))
    if size is None:
        settings = _read(files[CONFIG], where)
        size = _side({**(settings.get("vision_config") or {}), **settings}.get("image_size"))
    if size is None:
        return None
    try:
        return _prepared(given, size, where)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{PROCESSOR} does not say how images are prepared", where=where, got=first_line(error)
        ) from error


def _prepared(given: Mapping[str, Any], size: int, where: str) -> Prepare:
    scale = 255 * float(given.get("rescale_factor", 1 / 255)) if given.get("do_rescale", True) else 255.0
    mean, std = [0.0] * 3, [1.0] * 3
    if given.get("do_normalize", True):
        mean = [float(value) for value in given.get("image_mean") or mean]
        std = [float(value) for value in given.get("image_std") or std]
    if given.get("rescale_offset"):
        mean = [value + 1 for value in mean]
    if given.get("include_top"):
        # EfficientNet's processor divides by the deviation twice.
        std = [value * value for value in std]
    stated = {"size": size, "mean": mean, "std": std, "scale": round(scale, 6), "channels": len(mean)}
    return prepare.read(stated, where=where)


def _side(given: Any) -> int | None:
    """A side in pixels from any of the ways a size is written."""
    if isinstance(given, dict):
        given = given.get("height") or given.get("shortest_edge")
    if isinstance(given, list):
        given = given[0] if given else None
    return given if isinstance(given, int) and not isinstance(given, bool) and given > 0 else None
