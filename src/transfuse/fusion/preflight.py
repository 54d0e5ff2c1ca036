"""Whether checkpoints can be merged, from headers alone: without it a merge would stop at the first misfit, late."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import commonprefix

from transfuse.errors import many_problems
from transfuse.source.weights import Reader

# The base among members: no source can have this name.
START = "*base"
FLOATS = ("F16", "BF16", "F32", "F64")


def check(members: Mapping[str, Reader], base: Reader | None) -> None:
    """Names, shapes and types of all members at once; each problem names the tensor and the source."""
    if problems := misfits(members, base):
        hint = _prefixed({**members, **({START: base} if base is not None else {})})
        raise many_problems(
            "these checkpoints cannot be merged", problems, hint=hint or "merge checkpoints of one architecture"
        )


def _prefixed(readers: Mapping[str, Reader]) -> str:
    """What to do where one of them calls its tensors as another does, with the same words before each name."""
    names = {source: set(reader.names()) for source, reader in readers.items()}
    for source, own in names.items():
        prefix = commonprefix([*own]).rpartition(".")[0] + "."
        if any({f"{prefix}{name}" for name in other} == own for other in names.values()):
            who = "the base" if source == START else f"'{source}'"
            cut = f"{{name.removeprefix('{prefix}'): tensor for name, tensor in state.items()}}"
            return f"every name of {who} begins with '{prefix}', and the rest fits: save it anew as {cut}"
    return ""


def misfits(members: Mapping[str, Reader], base: Reader | None) -> list[str]:
    """Every problem of names, shapes and types, in the order of the members, then of the tensors."""
    first_name, first = next(iter(members.items()))
    problems: list[str] = []
    # A member may be called so itself, hence pairs.
    every = [*members.items(), *([("base", base)] if base is not None else [])]
    for source, reader in every:
        there, here = set(first.names()), set(reader.names())
        problems += [f"tensor '{name}' is missing in '{source}'" for name in sorted(there - here)]
        problems += [f"tensor '{name}' of '{source}' is unknown to '{first_name}'" for name in sorted(here - there)]
        for name in sorted(there & here):
            problems += _misfit(name, (first_name, *first.meta(name)), (source, *reader.meta(name)))
    return problems


def _misfit(name: str, first: tuple[str, tuple[int, ...], str], other: tuple[str, tuple[int, ...], str]) -> list[str]:
    """What keeps one tensor of a source from being merged with the first source's. Floats of any width go together."""
    (first_name, wanted, wanted_type), (source, found, found_type) = first, other
    if found != wanted:
        return [f"tensor '{name}': {list(wanted)} in '{first_name}', {list(found)} in '{source}'"]
    if found_type.startswith(("C", "complex", "F8")):
        return [f"tensor '{name}' of '{source}' holds numbers of the type {found_type}, which are not merged"]
    if found_type != wanted_type and not (found_type in FLOATS and wanted_type in FLOATS):
        return [f"tensor '{name}': {wanted_type} in '{first_name}', {found_type} in '{source}'"]
    return []
