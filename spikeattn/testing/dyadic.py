"""Weights and inputs that are small multiples of powers of two, so that every sum is exact in any order.

Floating-point addition depends on the order of the terms only where it rounds. With few significant bits nothing
rounds, and two ways of computing the same thing must agree bit for bit.
"""

import math

import torch
from torch import Tensor, nn

from spikeattn.testing.firing import spiking_layers


def dyadic(x: Tensor, step: float = 0.25) -> Tensor:
    """x rounded to multiples of `step`, a power of two.

    >>> dyadic(torch.tensor([0.3, -0.9]))
    tensor([ 0.2500, -1.0000])
    """
    return (x / step).round() * step


@torch.no_grad()
def make_dyadic(module: nn.Module) -> nn.Module:
    """Round all parameters of `module` in place, except those of its neurons, and the statistics of its batch norms.

    A parameter keeps one or two significant bits; a running variance becomes the nearest power of 4 and eps becomes
    0, so that the norm divides by a power of two. Layers keep their scale, hence about their firing rates.
    Neurons keep their own parameters: choose a decay that is a power of two.

    >>> layer = make_dyadic(nn.Linear(4, 4))
    >>> bool((layer.weight * 64 == (layer.weight * 64).round()).all())
    True
    """
    neurons = {part for neuron in spiking_layers(module).values() for part in neuron.modules()}
    for layer in module.modules():
        if layer in neurons:
            continue
        for parameter in layer.parameters(recurse=False):
            parameter.copy_(_rounded(parameter))
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eps = 0.0
            layer.running_mean.copy_(dyadic(layer.running_mean, 0.125))
            layer.running_var.copy_(4.0 ** (layer.running_var.log2() / 2).round())
    return module


def _rounded(weight: Tensor) -> Tensor:
    size = weight.square().mean().sqrt().item()
    return dyadic(weight, 2.0 ** math.floor(math.log2(size))) if size else weight
