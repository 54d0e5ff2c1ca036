"""Steps and their keys: what is computed is named by everything that decides its value, and by nothing else.

key = hash of the step's kind and that kind's revision, the digests of the method files it runs, its result-defining
parameters, and the keys of its inputs. Never of the whole plan, the engine, the workers, or a name.

An input may follow a choice: `Select` names the options, and the key that counts is that of the option chosen. A
changed file under an old name therefore changes all that follows from it, and a changed choice only what it must.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from transfuse import __version__
from transfuse.jsonio import digest
from transfuse.registry import find


@dataclass(frozen=True)
class Given:
    """An input that is there when the plan is made (items, rows, a card), by its key."""

    key: str


@dataclass(frozen=True)
class Select:
    """Inputs that follow a choice: for each option the roles and steps that it brings."""

    choice: str
    options: Mapping[str, Mapping[str, str]]


Ref = str | Given


@dataclass(frozen=True)
class Work:
    """How much a step computes, for the forecast: items through these members, steps of a crown, and CPU seconds that
    a method states of itself. Where the crown's arithmetic is more than its overhead, `counted` names the step that
    counts it, and items go through that crown instead."""

    members: tuple[str, ...] = ()
    forward: int = 0
    backward: int = 0
    crown: int = 0
    seconds: float = 0.0
    counted: str = ""


@dataclass(frozen=True)
class Step:
    """One thing to compute. `name` is unique in the plan and for people; it never reaches the key."""

    name: str
    kind: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Ref]
    selects: tuple[Select, ...] = ()
    digests: tuple[str, ...] = ()
    opens_test: bool = False
    arm: str = ""
    work: Work = field(default_factory=Work)


@dataclass(frozen=True)
class Plan:
    """A frozen graph: all steps by name, those whose results are wanted, and what the report must say of the rest."""

    steps: Mapping[str, Step]
    targets: tuple[str, ...]
    not_measured: tuple[tuple[str, str], ...]
    facts: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What makes this plan another plan: its steps as they stand, and what they start from."""
        return digest([self.facts["identity"], sorted(self.steps)])


class Fitting(NamedTuple):
    """What one kind of arm adds to the step that fits it: parameters, inputs, the files it runs, and work."""

    params: Mapping[str, Any] = MappingProxyType({})
    inputs: Mapping[str, Ref] = MappingProxyType({})
    digests: tuple[str, ...] = ()
    work: Work = Work()


Chosen = Callable[[str], Any]
KeyOf = Callable[[str], str]


def resolved(step: Step, chosen: Chosen) -> dict[str, Ref]:
    """The step's inputs by role once the choices it follows are made; a choice may name one option, several or none."""
    inputs = dict(step.inputs)
    for select in step.selects:
        value = chosen(select.choice)
        for option in value if isinstance(value, list) else [value]:
            if option is not None and option in select.options:
                inputs |= select.options[option]
    return inputs


def step_key(step: Step, inputs: Mapping[str, Ref], key_of: KeyOf) -> str:
    """The key of a step whose inputs' keys are known."""
    return digest(
        {
            "version": __version__,
            "kind": step.kind,
            "revision": find("steps", step.kind).revision,
            "methods": sorted(step.digests),
            "params": step.params,
            "inputs": {role: ref.key if isinstance(ref, Given) else key_of(ref) for role, ref in inputs.items()},
        }
    )
