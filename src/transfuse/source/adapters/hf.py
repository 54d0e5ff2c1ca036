"""Models of Hugging Face's library: `hf:DIR` or `hf:ORG/NAME`, `…?adapter=DIR` for LoRA, `…@random`.

Weights are loaded from safetensors in float32 whatever they are stored in; code from a model's folder never runs. The
image processor's configuration says how images are prepared. A backbone without a classifier gives its last block,
averaged. With `adapter` a LoRA folder's changes are added to the weights. A CLIP answers for `labels=cat,dog` by
prompts to its own text encoder.
"""

from __future__ import annotations

from pathlib import Path

from transfuse.errors import UserError, unknown_name
from transfuse.source.building import seeded
from transfuse.source.spec import Built, Spec, local

TRAITS = {"carries": "*", "drawn": True, "packages": "transformers"}
PARAMETERS = {
    "adapter": {"type": "str", "default": None, "doc": "the folder of a LoRA adapter, as PEFT writes it"},
    "tokens": {
        "type": "int",
        "default": None,
        "low": 1,
        "doc": "how many tokens of a text are read; at most 256 where not said",
    },
    "labels": {"type": "str", "default": None, "doc": "class names, with commas: of a CLIP its prompts make a head"},
    "template": {
        "type": "str",
        "default": "a photo of a {}",
        "doc": "the prompt, with {} for the class; the embeddings of several, with |, are averaged",
    },
    "revision": {"type": "str", "default": None, "doc": "a branch, tag or commit of a model on the hub"},
    "seed": {"type": "int", "default": 0, "low": 0, "doc": "which random network"},
}
OURS = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "model.safetensors",
    "model.safetensors.index.json",
)


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "hf"


def files(spec: Spec, root: Path) -> list[Path]:
    """Of a folder its configurations and weights, and the adapter's; of a name on the hub nothing here decides."""
    folder = local(root, spec.target)
    found = [folder / name for name in OURS if (folder / name).is_file()]
    found += sorted(path for path in folder.glob("model-*.safetensors") if path.is_file())
    if "adapter" in spec.options:
        adapter = local(root, spec.options["adapter"])
        found += [path for path in sorted(adapter.glob("adapter_*")) if path.suffix in (".json", ".safetensors")]
    return found


def build(spec: Spec, root: Path) -> Built:
    """The model. Raises UserError where it cannot be had, needs code of its own, or lacks weights."""
    from transfuse.source.frameworks import hf_models, hf_texts, hf_zero_shot
    from transfuse.source.text_models import Transformer

    if spec.tag not in (None, "random"):
        raise unknown_name("tag of hf:", str(spec.tag), ["random"], where=spec.text)
    folder = local(root, spec.target)
    looks_like_a_path = spec.target.startswith((".", "/", "~")) or spec.target.count("/") > 1
    if looks_like_a_path and not folder.is_dir():
        raise UserError("there is no such folder", where=spec.text, got=spec.target)
    labels, templates = hf_zero_shot.labels_of(spec.options, spec.text)
    place, revision = str(folder) if folder.is_dir() else spec.target, spec.options.get("revision")
    there = hf_models.found(place, revision, spec.text)
    notes: tuple[str, ...] = ()
    if spec.random:
        with seeded(spec):
            module = hf_models.drawn(there, spec.text)
    else:
        module, notes = hf_models.loaded(place, revision, there, spec.text)
        if "adapter" in spec.options:
            _adapt(module, local(root, spec.options["adapter"]), spec)
            notes = (*notes, "the LoRA adapter's changes are added to the weights")
    classes = hf_models.classes(there, spec.text)
    if isinstance(module, hf_zero_shot.Pair):
        if labels:
            words = hf_texts.words_of(there, module.vocabulary, spec.text)
            module.asked(labels, templates, words, spec.text)
            notes = (*notes, "its head is the embeddings of " + " and ".join(f"'{each}'" for each in templates))
        module, classes = module.alone(), labels
    elif labels:
        hint = "a CLIP has one"
        raise UserError("this model has no text encoder, so class names make no head", where=spec.text, hint=hint)
    if isinstance(module, Transformer):
        tokens = spec.number("tokens", 0) if "tokens" in spec.options else None
        prepare = hf_texts.given_words(module, there, there[hf_models.CONFIG], tokens, spec.text)
        notes = (*notes, f"reads the first {prepare.size} tokens of a text")
    elif "tokens" in spec.options:
        raise UserError("a model of images reads no tokens", where=spec.text, hint="leave `tokens` out")
    else:
        prepare = hf_models.prepare_of(there, spec.text)
    return Built(
        module,
        prepare,
        classes=classes,
        notes=notes,
    )


def _adapt(module: object, folder: Path, spec: Spec) -> None:
    import torch

    from transfuse.source.adapted import AdaptedReader
    from transfuse.source.frameworks.hf_models import Headless
    from transfuse.source.frameworks.hf_zero_shot import Pair
    from transfuse.source.text_models import Transformer
    from transfuse.source.weights import StateReader

    network = module.backbone if isinstance(module, Headless | Pair | Transformer) else module
    state = network.state_dict()  # pyright: ignore[reportAttributeAccessIssue]
    reader = AdaptedReader(StateReader(state, spec.text), folder)
    changed = {name: torch.from_numpy(reader.read(name).copy()).to(state[name].dtype) for name in reader.names()}
    network.load_state_dict(changed)  # pyright: ignore[reportAttributeAccessIssue]
