"""Which layers of a module spike, and how often."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


def spiking_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Every layer inside `module` (itself included, under "") that declares an alphabet of spikes, by name."""
    return {name: layer for name, layer in module.named_modules() if getattr(layer, "alphabet", "real") != "real"}


@contextmanager
def recorded_spikes(module: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Collect what every spiking layer sends while the block runs, one tensor for each call.

    >>> import torch
    >>> from spikeattn.neurons import LIF
    >>> neuron = LIF()
    >>> with recorded_spikes(neuron) as spikes:
    ...     _ = neuron(torch.tensor([[0.0, 2.0]]))
    >>> spikes
    {'': [tensor([[0., 1.]])]}
    """
    layers = spiking_layers(module)
    record: dict[str, list[Tensor]] = {name: [] for name in layers}

    def watch(name: str):
        return lambda layer, inputs, output: record[name].append(output[0].detach())

    handles = [layer.register_forward_hook(watch(name)) for name, layer in layers.items()]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()


def firing_rates(record: dict[str, list[Tensor]]) -> dict[str, float]:
    """Share of non-zero outputs of each layer that ran.

    >>> import torch
    >>> firing_rates({"stem": [torch.tensor([0., -1.]), torch.tensor([0., 0.])]})
    {'stem': 0.25}
    """
    return {
        name: sum(int(spikes.count_nonzero()) for spikes in calls) / sum(spikes.numel() for spikes in calls)
        for name, calls in record.items() if calls
    }
