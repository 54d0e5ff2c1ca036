"""Layers brought to the shapes of stored tensors; without this file a pruned network could be kept only as code.

A pruned network is its unpruned self with fewer channels: what is stored are tensors, and their shapes say how many.
Only smaller shapes are taken, so that a file cannot ask for more memory than the network that it claims to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from transfuse.errors import UserError

Shapes = Mapping[str, Sequence[int]]


def take_shapes(network: nn.Module, shapes: Shapes, where: str) -> None:
    """Give every parameter and buffer of these names the shape stated, cut off at the end, and tell its layer.

    Raises UserError where a shape has another number of axes, an axis that is empty or longer than the network's.
    """
    for path, module in network.named_modules():
        own = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
        smaller = {}
        for name, tensor in own.items():
            shape = tuple(shapes.get(f"{path}.{name}" if path else name, tensor.shape))
            if shape == tuple(tensor.shape):
                continue
            fits = len(shape) == tensor.dim() and all(
                0 < new <= old for new, old in zip(shape, tensor.shape, strict=True)
            )
            if not fits:
                raise UserError(
                    f"'{path}.{name}' is not a smaller form of the network's", where=where,
                    expected=f"at most {list(tensor.shape)}", got=str(list(shape)),
                )  # fmt: skip
            smaller[name] = tensor.detach()[tuple(slice(length) for length in shape)].clone()
        for name, tensor in smaller.items():
            if name in module._parameters:
                free = module._parameters[name].requires_grad  # pyright: ignore[reportOptionalMemberAccess]
                module._parameters[name] = nn.Parameter(tensor, requires_grad=free)
            else:
                module._buffers[name] = tensor
        if smaller:
            _tell(module, {name: tuple(own[name].shape) for name in smaller})


def shrink(model: nn.Module, shapes: Shapes, where: str) -> None:
    """`take_shapes`, and the model remembers that its layers are no longer those of its package."""
    take_shapes(model, shapes, where)
    model.shrunk = True  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]


def is_shrunk(model: nn.Module) -> bool:
    """Whether any layer in it has another shape than its package gives it."""
    return any(getattr(module, "shrunk", False) for module in model.modules())


def _tell(module: nn.Module, before: Mapping[str, tuple[int, ...]]) -> None:
    """A layer's own counts of channels, which its forward or its readers go by."""
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.modules.conv._ConvNd) and isinstance(weight, torch.Tensor):
        first, second = weight.shape[:2]
        depthwise = module.groups > 1 and module.groups == module.in_channels and not module.transposed
        if depthwise:
            # One filter, or several, for each channel: channels and groups go together.
            module.groups = first * module.groups // module.out_channels
            module.in_channels, module.out_channels = module.groups, first
        elif module.transposed:
            module.in_channels, module.out_channels = first, second * module.groups
        else:
            module.in_channels, module.out_channels = second * module.groups, first
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        module.num_features = len(next(value for value in (weight, module.running_mean) if value is not None))  # pyright: ignore
    elif isinstance(module, nn.LayerNorm) and isinstance(weight, torch.Tensor):
        module.normalized_shape = tuple(weight.shape)
    elif isinstance(module, nn.GroupNorm) and isinstance(weight, torch.Tensor):
        module.num_channels = len(weight)
    elif hasattr(module, "width") and "mean" in before:
        module.width = len(module.mean)  # pyright: ignore[reportArgumentType]


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """{name: shape} of everything that a network's state holds."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
