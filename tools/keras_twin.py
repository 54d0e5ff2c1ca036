"""An EfficientNet of timm as a Keras network with the same weights; without it no network of real weights would be
there to compare in the forms of Keras and TensorFlow."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from transfuse.source.frameworks.keras_backend import keras, quiet
from transfuse.source.frameworks.tensorflow_process import interpreter

EXPORT = "import sys, keras; keras.saving.load_model(sys.argv[1], compile=False).export(sys.argv[2])"


class Twin:
    """Keras layers in the order of timm's, with their arrays to be set once the network is there."""

    def __init__(self, side: int) -> None:
        self.make = keras("the twin").layers
        self.entry = keras("the twin").Input((side, side, 3))
        self.arrays: list[tuple[Any, list[np.ndarray]]] = []

    def _add(self, layer: Any, arrays: list[np.ndarray], value: Any) -> Any:
        self.arrays.append((layer, arrays))
        return layer(value)

    def convolved(self, value: Any, conv: Any, norm: Any) -> Any:
        """A convolution without bias, its BatchNorm, and what timm puts after it (ReLU6 or nothing)."""
        stride, kernel = conv.stride[0], conv.weight.detach().numpy()
        if conv.groups > 1:
            layer = self.make.DepthwiseConv2D(kernel.shape[2], strides=stride, padding="same", use_bias=False)
            arrays = [kernel.transpose(2, 3, 0, 1)]
        else:
            layer = self.make.Conv2D(len(kernel), kernel.shape[2], strides=stride, padding="same", use_bias=False)
            arrays = [kernel.transpose(2, 3, 1, 0)]
        value = self._add(layer, arrays, value)
        told = [norm.weight, norm.bias, norm.running_mean, norm.running_var]
        value = self._add(self.make.BatchNormalization(epsilon=norm.eps), [one.detach().numpy() for one in told], value)
        return self.make.ReLU(6.0)(value) if isinstance(norm.act, nn.ReLU6) else value

    def block(self, value: Any, block: Any) -> Any:
        """One block of timm's, with the way around it where it has one."""
        if hasattr(block, "conv_pwl"):
            steps = [(block.conv_pw, block.bn1), (block.conv_dw, block.bn2), (block.conv_pwl, block.bn3)]
        else:
            steps = [(block.conv_dw, block.bn1), (block.conv_pw, block.bn2)]
        made = value
        for conv, norm in steps:
            made = self.convolved(made, conv, norm)
        return self.make.Add()([made, value]) if block.has_skip else made

    def network(self, net: Any) -> Any:
        """The whole network, its logits without a softmax."""
        value = self.convolved(self.entry, net.conv_stem, net.bn1)
        for stage in net.blocks:
            for block in stage:
                value = self.block(value, block)
        value = self.make.GlobalAveragePooling2D()(self.convolved(value, net.conv_head, net.bn2))
        weight, bias = net.classifier.weight.detach().numpy(), net.classifier.bias.detach().numpy()
        value = self._add(self.make.Dense(len(bias)), [weight.T, bias], value)
        made = keras("the twin").Model(self.entry, value)
        for layer, arrays in self.arrays:
            layer.set_weights(arrays)
        return made


def keras_twin(net: Any, side: int, path: Path) -> Path:
    """timm's EfficientNet without squeeze-and-excitation as a `.keras` file, for images of one side."""
    with quiet():
        Twin(side).network(net).save(path)
    return path


def saved_model(archive: Path, folder: Path) -> Path:
    """A Keras file as TensorFlow exports it. Raises RuntimeError where that fails."""
    surroundings = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
    done = subprocess.run(
        [interpreter(), "-c", EXPORT, str(archive), str(folder)],
        env=surroundings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return folder
