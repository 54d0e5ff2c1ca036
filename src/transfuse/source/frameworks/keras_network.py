"""A Keras network as the module it nearly is; without this, `eval()`, freezing and copies would quietly do nothing.

On PyTorch a Keras model is a `torch.nn.Module`, but its layers are no children, modes do not reach them, statistics are
parameters, and copies are made by writing and reading. Here every layer is a child with its own weights, its mode is
that of the module (so frozen parts stay still), statistics are buffers, and images come as [N, C, S, S].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.source.frameworks.keras_backend import keras, quiet

# As PyTorch calls them, so that merges and repairs know them.
STATISTICS = {"moving_mean": "running_mean", "moving_variance": "running_var"}
CHANNELS = (1, 3)


class KerasNetwork(nn.Module):
    """Prepared images [N, C, S, S] in, logits [N, K] out. `notes` say what was changed of the model."""

    def __init__(self, model: Any, where: str) -> None:
        super().__init__()
        self.where, self.notes = where, _prepare(model, where)
        shape = model.input_shape
        self.channels_last = len(shape) == 4 and not (shape[1] in CHANNELS and shape[3] not in CHANNELS)
        # In a list, so that it is no child: its layers are.
        self.whole = [model]
        self.layers = nn.ModuleDict()
        self.homes = _homes(model)
        for layer in model._flatten_layers(include_self=False):
            if not any(layer is module for module in self.modules()):
                self.layers[_free(layer.name.replace(".", "_"), self.layers)] = layer
            layer.register_forward_pre_hook(_own_mode, with_kwargs=True)
            _say_widths(layer)
            layer.loose = lambda layer=layer: list(layer._torch_params.values())
            if layer._trainable_variables and _restarts(layer):
                layer.reset_parameters = lambda layer=layer: _restart(layer)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Raises ValueError where the model does not take images of this size."""
        given = images.permute(0, 2, 3, 1) if self.channels_last else images
        with keras(self.where).device(str(images.device)):
            # Each layer then takes its own mode instead.
            return self.whole[0](given, training=True)

    def crossings(self) -> set[str]:
        """The paths of the layers whose output alone crosses to what follows, read off the model's own graph."""
        model = self.whole[0]
        depths = getattr(model, "_nodes_by_depth", None) or getattr(model._functional, "_nodes_by_depth", {})
        nodes = [node for depth in sorted(depths, reverse=True) for node in depths[depth]]
        place = {id(tensor): index for index, node in enumerate(nodes) for tensor in node.outputs}
        reach = dict.fromkeys(range(len(nodes)), 0)
        for index, node in enumerate(nodes):
            for tensor in node.arguments.keras_tensors:
                reach[place[id(tensor)]] = index
        paths = {id(layer): f"layers.{name}" for name, layer in self.layers.items()}
        found, furthest = set(), 0
        for index, node in enumerate(nodes[:-1]):
            if furthest <= index and id(node.operation) in paths:
                found.add(paths[id(node.operation)])
            furthest = max(furthest, reach[index])
        return found

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Buffers are replaced when a module is moved; Keras must find the new ones."""
        super()._apply(fn, recurse)
        for variable, holder, name in self.homes:
            variable._value = getattr(holder, name)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        held = [name for name, module in self.named_modules() if getattr(module, "held", False)]
        still = [name for name, parameter in self.named_parameters() if not parameter.requires_grad]
        modes = {name: module.training for name, module in self.named_modules()}
        state = {name: value.detach().clone() for name, value in self.state_dict().items()}
        made_of = keras(self.where).saving.serialize_keras_object(self.whole[0])
        return _again, (made_of, self.where, self.notes, state, (held, still, modes))


def _again(made_of: Any, where: str, notes: Any, state: Any, marks: tuple[Any, Any, Any]) -> KerasNetwork:
    """The copy of a network, with its numbers, modes and what is frozen of it."""
    with quiet():
        made = KerasNetwork(keras(where).saving.deserialize_keras_object(made_of, safe_mode=True), where)
    made.notes = notes
    made.load_state_dict(state)
    held, still, modes = marks
    for name, module in made.named_modules():
        module.training = modes[name]
        if name in held:
            module.held = True  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(name not in still)
    return made


def _prepare(model: Any, where: str) -> tuple[str, ...]:
    """Scores before a closing softmax, float32, all weights free; what was changed, in words."""
    model.trainable = True
    notes = []
    last = model.layers[-1]
    if getattr(getattr(last, "activation", None), "__name__", "") in ("softmax", "sigmoid"):
        notes.append(f"the closing {last.activation.__name__} is left out: a source gives logits")
        last.activation = keras(where).activations.linear
    policies = {layer.dtype_policy.name for layer in model._flatten_layers(include_self=False)}
    if mixed := sorted(policy for policy in policies if policy != "float32"):
        for layer in model._flatten_layers(include_self=True):
            layer.dtype_policy = "float32"
        notes.append(f"it computes in float32 instead of {', '.join(mixed)}")
    other = sorted(
        {str(weight.dtype) for weight in model.weights if weight.dtype in ("float16", "bfloat16", "float64")}
    )
    if other:
        raise UserError("a Keras source has its weights in float32", where=where, got=", ".join(other))
    return tuple(notes)


def _homes(model: Any) -> list[tuple[Any, nn.Module, str]]:
    """Give every layer its own weights and no others: learned ones as parameters, the rest as buffers of a child
    `statistics`. Gives where each variable that is a buffer lives."""
    homes = []
    for layer in model._flatten_layers(include_self=True):
        learned = {variable.path: variable._value for variable in layer._trainable_variables}
        rest = [*layer._non_trainable_variables]
        rest += [generator.state for generator in getattr(layer, "_seed_generators", ())]
        layer._torch_params = nn.ParameterDict(learned)
        if not rest:
            continue
        holder = nn.Module()
        for variable in {id(variable): variable for variable in rest}.values():
            name = _free(str(STATISTICS.get(variable.name, variable.name)), holder)
            variable._value = variable._value.detach().clone()
            holder.register_buffer(name, variable._value)
            homes.append((variable, holder, name))
        layer.add_module("statistics", holder)
    return homes


def _free(name: str, owner: nn.Module) -> str:
    made, number = name, 1
    while (made in owner) if isinstance(owner, nn.ModuleDict) else hasattr(owner, made):
        made, number = f"{name}_{number}", number + 1
    return made


def _own_mode(layer: nn.Module, inputs: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Whatever mode a call hands down, a layer is in that of the module."""
    return inputs, {**named, "training": layer.training} if "training" in named else named


def _say_widths(layer: Any) -> None:
    """A dense layer says how wide it is in PyTorch's words, by which classifiers are found."""
    if type(layer).__name__ == "Dense":
        layer.in_features, layer.out_features = (int(size) for size in layer.kernel.shape)


def _initialiser(layer: Any, variable: Any) -> Any:
    """What drew a variable; None where the layer does not say. A depthwise layer names it after itself."""
    name = str(variable.name)
    for word in (name, name.removesuffix("_kernel"), "depthwise" if name == "kernel" else name):
        if (found := getattr(layer, f"{word}_initializer", None)) is not None:
            return found
    return None


def _restarts(layer: Any) -> bool:
    """Whether the layer says of every weight that it learned how it starts."""
    return all(_initialiser(layer, variable) is not None for variable in layer._trainable_variables)


def _restart(layer: Any) -> None:
    """Draw the layer's weights again, from PyTorch's stream, with its statistics where they have a start."""
    for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
        if (draw := _initialiser(layer, variable)) is None:
            continue
        settings = draw.get_config()
        if "seed" in settings:
            settings["seed"] = int(torch.randint(2**31, ()))
        value = type(draw).from_config(settings)(tuple(variable.shape), dtype=variable.dtype)
        with torch.no_grad():
            variable._value.copy_(value)
