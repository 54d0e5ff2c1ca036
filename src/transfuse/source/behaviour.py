"""What a network given in Python computes with: its weights alone would give an edited `forward` the old one's results.

Beside weights these decide an answer: the code of every layer's class that is the user's own, with the functions of the
same module that it calls and the plain values that it names, and the layers' plain attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from transfuse.jsonio import digest
from transfuse.source.weights import state_digest

if TYPE_CHECKING:
    from torch import nn

# What installed packages hold is told by their versions.
PACKAGES = ("torch", "torchvision", "timm", "transformers", "transfuse", "builtins", "abc", "typing")
PLAIN = (bool, int, float, complex, str, bytes, type(None))


def behaviour(network: nn.Module) -> str:
    """The digest of weights, own code and plain attributes. The same for a copy, another after an edit of any."""
    classes = {each for module in network.modules() for each in type(module).__mro__ if _own(each.__module__)}
    named = {f"{each.__module__}.{each.__qualname__}": list(_of_class(each)) for each in classes}
    attributes = {path: _of_layer(module) for path, module in network.named_modules()}
    return digest([type(network).__qualname__, state_digest(network), dict(sorted(named.items())), attributes])


def _own(module: str) -> bool:
    return module.partition(".")[0] not in PACKAGES


def _of_class(kind: type) -> Iterator[Any]:
    for name, value in sorted(vars(kind).items(), key=lambda pair: pair[0]):
        found = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(found, FunctionType):
            yield [name, _of_function(found, set())]
        elif _is_plain(value) and name not in ("__module__", "__doc__", "__qualname__", "__firstlineno__"):
            yield [name, _text(value)]


def _of_function(function: FunctionType, seen: set[FunctionType]) -> list[Any]:
    """Its code and defaults, what it closes over, and what it names in its module."""
    if function in seen or not _own(function.__module__ or ""):
        return [function.__qualname__]
    seen.add(function)
    kept = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    used = [function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__]
    around = [told for each in (*kept, *used) if (told := _told(each, seen)) is not None]
    return [_of_code(function.__code__), _told(function.__defaults__, seen), around]


def _told(value: Any, seen: set[FunctionType]) -> Any:
    """A function by its code, a plain value as text; None of everything else."""
    if isinstance(value, FunctionType):
        return _of_function(value, seen)
    return _text(value) if _is_plain(value) else None


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty cell raises
    except ValueError:
        return False
    return True


def _names(code: CodeType) -> list[str]:
    inner = [name for each in code.co_consts if isinstance(each, CodeType) for name in _names(each)]
    return [*code.co_names, *inner]


def _of_code(code: CodeType) -> list[Any]:
    consts = [_of_code(each) if isinstance(each, CodeType) else _text(each) for each in code.co_consts]
    return [code.co_code.hex(), consts, list(code.co_names), list(code.co_varnames)]


def _of_layer(module: nn.Module) -> dict[str, Any]:
    values = {name: _told(value, set()) for name, value in sorted(vars(module).items()) if name != "training"}
    return {name: value for name, value in values.items() if value is not None}


def _text(value: Any) -> str:
    """As Python writes it; the members of a set in order, since theirs differs from process to process."""
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_text, value)))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(name)}: {_text(each)}' for name, each in value.items())}}}"
    return f"[{', '.join(map(_text, value))}]" if isinstance(value, tuple | list) else repr(value)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, tuple | list | set | frozenset):
        return all(_is_plain(each) for each in value)
    return isinstance(value, PLAIN)
