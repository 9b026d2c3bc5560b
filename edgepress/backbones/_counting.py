"""Parameters and multiply-accumulates of a network, counted on one forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def parameters(network: nn.Module) -> int:
    """Return the number of trainable and frozen weights, buffers left out."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Return multiply-accumulates of convolutions and linear layers for one input of `shape`.

    Attention products, normalisation and activations are not counted, as in most published figures.
    """
    total = 0

    def count(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    training = network.training
    try:
        network.eval()
        with torch.inference_mode():
            device = next(network.parameters()).device
            network(torch.zeros(shape, device=device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return total // shape[0]
