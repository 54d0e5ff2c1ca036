"""CLIP-like models: without this file a common image encoder, and what it knows of classes by their names, could be no
member of a fusion.

A text encoder turns prompts such as "a photo of a cat" into the rows of a head, once; from then on the image encoder
with that head is a classifier like any other:

    logits = exp(s) · v / |v| · t_c / |t_c|        t_c = mean over templates of the prompt's normalised embedding

With one template that is the library's `logits_per_image` (Radford et al., ICML 2021). Without class names the
normalised image embedding is a backbone's block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.errors import UserError

if TYPE_CHECKING:
    from transfuse.source.tokens import Words

TEMPLATE, PLACE, BETWEEN = "a photo of a {}", "{}", "|"
# Of these a prompt's embedding does not depend on how it is padded.
ANSWERING = ("clip",)
OF_TEXTS = ("text_model", "text_projection")


def reads_both(settings: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of an image encoder with a text encoder beside it."""
    return "vision_config" in settings and "text_config" in settings


class Pair(nn.Module):
    """An image encoder, once its text encoder has said what it had to say: prepared images in, class scores [N, C] out,
    or without class names the normalised embedding [N, D]."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head: nn.Linear | None = None
        self.headless = True

    def forward(self, images: Tensor) -> Tensor:
        embedding: Any = self.backbone.get_image_features(pixel_values=images)  # pyright: ignore[reportCallIssue]
        vector = functional.normalize(embedding.pooler_output, dim=1)
        return vector if self.head is None else self.head(vector)

    @property
    def vocabulary(self) -> int:
        """How many tokens the text encoder knows."""
        backbone: Any = self.backbone
        return backbone.config.text_config.vocab_size

    def asked(self, labels: Sequence[str], templates: Sequence[str], words: Words, where: str) -> None:
        """Give it a head of these classes. Raises UserError for a kind of model whose prompts are read otherwise."""
        backbone: Any = self.backbone
        if (kind := backbone.config.model_type) not in ANSWERING:
            hint = "leave `labels` out: its image encoder is a backbone"
            raise UserError("prompts of this kind of model are not read", where=where, got=str(kind), hint=hint)
        most = backbone.config.text_config.max_position_embeddings
        with torch.no_grad():
            rows = [
                self._said([each.replace(PLACE, label) for each in templates], words, most, where) for label in labels
            ]
            head = nn.Linear(len(rows[0]), len(rows), bias=False).to(rows[0].device)
            head.weight.copy_(backbone.logit_scale.exp() * torch.stack(rows))
        self.head, self.headless = head, False

    def _said(self, prompts: Sequence[str], words: Words, most: int, where: str) -> Tensor:
        """The embedding [D] of a class: each prompt alone, so that nothing is padded."""
        found = []
        for prompt in prompts:
            numbers = words.numbers(prompt)
            if not 0 < len(numbers) <= most:
                expected = f"at most {most} tokens"
                raise UserError(
                    "a prompt is too long", where=where, expected=expected, got=f"{len(numbers)}: {prompt[:60]}"
                )
            given = torch.tensor([numbers])
            encoded: Any = self.backbone.get_text_features(  # pyright: ignore[reportCallIssue]
                input_ids=given, attention_mask=torch.ones_like(given)
            )
            found.append(functional.normalize(encoded.pooler_output, dim=1)[0])
        return functional.normalize(torch.stack(found).mean(0), dim=0)

    def alone(self) -> Pair:
        """Without the text encoder, which nobody asks any more."""
        for name in OF_TEXTS:
            if getattr(self.backbone, name, None) is not None:
                setattr(self.backbone, name, None)
        return self.eval()


def labels_of(options: Mapping[str, str], where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Class names and templates, from a spec's `labels` (with commas) and `template` (several with |).

    Raises UserError for fewer than two or repeated names, a template without a place for one, and templates alone.
    """
    templates = tuple(options.get("template", TEMPLATE).split(BETWEEN))
    if "labels" not in options:
        if "template" in options:
            raise UserError("a template asks for class names", where=where, expected="labels=cat,dog")
        return (), templates
    labels = tuple(name.strip() for name in options["labels"].split(","))
    if len(labels) < 2 or "" in labels or len(set(labels)) != len(labels):
        raise UserError("a head needs two or more distinct class names", where=where, got=options["labels"][:80])
    if missing := [each for each in templates if PLACE not in each]:
        raise UserError(f"a template has a place for the class, {PLACE}", where=where, got=missing[0][:80])
    return labels, templates
