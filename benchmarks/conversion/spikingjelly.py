"""SpikingJelly's ann2snn on the same checkpoint: what runs, what it emits, and the exact words where it does not run.

Its converter traces modules symbolically, so `Plain` writes our digits ViT with the modules that it knows, with the
same weights, and equal to the source. Time steps are fed as in its own STA example: the picture at the first step,
zeros after it, outputs summed.
"""

import contextlib
import copy
import io
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from neuromorphic.convert.purity import FLOATING
from neuromorphic.energy import Rule
from neuromorphic.energy.rule import classify
from neuromorphic.ledger import SPIKES, Ledger

ENCODER = "_STASpikeEncoder"  # of STA: emits trunc(membrane / threshold) thresholds at once


class Block(nn.Module):
    """x = x + W_o attention(gelu(x));   x = x + W_2 gelu(W_1 gelu(x))."""

    def __init__(self, graph: Any, path: str):
        super().__init__()
        self.before, self.middle, self.inner = nn.GELU(), nn.GELU(), nn.GELU()
        self.attend = packed(graph, f"{path}.attn")
        self.fc1, self.fc2 = graph[f"{path}.mlp.fc1"], graph[f"{path}.mlp.fc2"]

    def forward(self, x: Tensor) -> Tensor:
        a = self.before(x)
        y, _ = self.attend(a, a, a, need_weights=False)  # unpacked: its tracer refuses an index
        x = x + y
        return x + self.fc2(self.inner(self.fc1(self.middle(x))))


class Plain(nn.Module):
    """An adapted vit_digits (batch norms folded) out of torch's own modules, ready for symbolic tracing."""

    def __init__(self, graph: Any, depth: int):
        super().__init__()
        graph = copy.deepcopy(graph)
        self.conv0, self.gelu, self.conv1 = graph["stem.convs.0"], nn.GELU(), graph["stem.convs.1"]
        self.blocks = nn.ModuleList(Block(graph, f"blocks.{index}") for index in range(depth))
        self.head = graph["head"]

    def forward(self, x: Tensor) -> Tensor:
        x = torch.transpose(torch.flatten(self.conv1(self.gelu(self.conv0(x))), 2), 1, 2)
        for block in self.blocks:
            x = block(x)
        return self.head(torch.mean(x, 1))


@torch.no_grad()
def packed(graph: Any, path: str) -> nn.MultiheadAttention:
    """Query, key, value and output layers of a graph as one module of torch."""
    q, k, v, out = (graph[f"{path}.{name}"] for name in ("q", "k", "v", "proj"))
    layer = nn.MultiheadAttention(q.in_features, graph[f"{path}.attend"].heads, batch_first=True)
    layer.in_proj_weight.copy_(torch.cat([part.weight for part in (q, k, v)]))
    layer.in_proj_bias.copy_(torch.cat([part.bias for part in (q, k, v)]))
    layer.out_proj.weight.copy_(out.weight)
    layer.out_proj.bias.copy_(out.bias)
    return layer


class Steps(nn.Module):
    """A converted network over T steps from rest: input at the first step, then zeros; sum of the outputs."""

    def __init__(self, network: nn.Module, timesteps: int):
        super().__init__()
        self.network, self.timesteps = network, timesteps

    def forward(self, x: Tensor) -> Tensor:
        from spikingjelly.activation_based import functional

        functional.reset_net(self.network)
        sequence = x.new_zeros(self.timesteps, *x.shape)
        sequence[0] = x
        return self.network(sequence).sum(0)


def recipes(batches: list[Tensor]) -> dict[str, Callable[[int], Any]]:
    """Every recipe of ann2snn that takes a network of softmax attention or a plain one; T -> recipe."""
    from spikingjelly.activation_based import ann2snn

    pairs = [(batch, torch.zeros(len(batch))) for batch in batches]
    return {
        "STATransformer, spiking_encoder": lambda T: ann2snn.STATransformerRecipe(pairs, T, mode="spiking_encoder"),
        "STATransformer, spiking_affine": lambda T: ann2snn.STATransformerRecipe(pairs, T, mode="spiking_affine"),
        "TransformerTDEquivalent": lambda T: ann2snn.TransformerTDEquivalentRecipe(time_steps=T),
        "RateCoding": lambda T: ann2snn.RateCodingRecipe(pairs),
        "LocalThresholdBalancing": lambda T: ann2snn.LocalThresholdBalancingRecipe(pairs),
        "SpikeZIPTFQANN": lambda T: ann2snn.SpikeZIPTFQANNRecipe(),
    }


def converted(recipe: Any, network: nn.Module, timesteps: int) -> Steps:
    """The network after conversion, on whole sequences; raises what SpikingJelly raises."""
    from spikingjelly.activation_based import ann2snn, functional

    tool = ann2snn.ModuleConverter if isinstance(recipe, ann2snn.ModuleConversionRecipe) else ann2snn.Converter
    with quiet():
        found = tool(recipe).convert(copy.deepcopy(network).eval()).eval()
    functional.set_step_mode(found, "m")
    return Steps(found, timesteps).eval()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no log lines."""
    from loguru import logger

    logger.disable("spikingjelly")
    with contextlib.redirect_stderr(io.StringIO()):
        yield
    logger.enable("spikingjelly")


def attempt(recipe: Any, network: nn.Module, x: Any) -> str:
    """What came of converting, and of running for four steps where the input is one tensor, in its own words."""
    try:
        model = converted(recipe, network, 4)
    except Exception as error:  # whatever it is, it is the answer
        return words("convert", error)
    neurons = f"{spiking_modules(model)} modules that spike"
    if isinstance(x, dict):
        return f"converts without an error, {neurons}; not run: several inputs without a time axis"
    try:
        with torch.no_grad():
            got, wanted = model(x), network(x)
    except Exception as error:
        return words("run", error)
    return f"runs, {neurons}, output {float((got - wanted).norm() / wanted.norm()):.2g} off"


def spiking_modules(model: nn.Module) -> int:
    """Its neurons, and the encoders of STA."""
    from spikingjelly.activation_based.neuron import BaseNode

    return sum(isinstance(module, BaseNode) or type(module).__name__ == ENCODER for module in model.modules())


def words(where: str, error: Exception) -> str:
    return f"{where}: {type(error).__name__}: {' '.join(str(error).split())[:240]}"


@torch.no_grad()
def emissions(model: Steps, x: Tensor) -> dict[str, Any]:
    """What the encoders emit: events and units (multiples of the threshold) per value, over all encoders and steps."""
    values, events, units, largest = 0, 0, 0, 0
    per_step = [0] * model.timesteps

    def watch(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal values, events, units, largest
        threshold = module.v_threshold.view([-1] + [1] * (-1 - module.channel_dim))
        count = (output / threshold).round().abs()
        values += count[0].numel()
        events += int(count.count_nonzero())
        units += int(count.sum())
        largest = max(largest, int(count.max()))
        for step, one in enumerate(count):
            per_step[step] += int(one.count_nonzero())

    handles = [m.register_forward_hook(watch) for m in model.modules() if type(m).__name__ == ENCODER]
    model(x)
    for handle in handles:
        handle.remove()
    if not values:
        return {"encoders": 0, "spikes_per_value": None, "units_per_value": None, "largest": None}
    return {"encoders": len(handles), "spikes_per_value": events / values, "units_per_value": units / values,
            "largest": largest, "events_per_step": [n / values for n in per_step]}


def purity(ledger: Ledger, model: Steps, stem: str, readout: str) -> dict[str, Any]:
    """By our definition, from the ledger of a run: stem and read-out are left out as they are in our networks.

    Additions and comparisons count as spike-driven even where they are floating point: the kinder reading.
    """
    floating = spikes = rest = 0
    for row in ledger.rows:
        if row.scope.startswith((f"network.{stem}", f"network.{readout}")):
            continue
        unit = bool(row.dense) and row.left is not None and row.left.kind in SPIKES
        for operation, count in classify(row, Rule(), ledger.model.timesteps).items():
            if operation in FLOATING:
                floating += count
            elif unit or operation in ("ADD", "CMP", "SHIFT", "AND", "AC"):
                spikes += count
            else:
                rest += count
    total = floating + spikes + rest + sum(touch.numel for touch in ledger.coverage.uncovered)
    kinds = Counter(type(module).__name__ for module in model.network.modules())
    functions = {name: n for name, n in kinds.items()
                 if name in ("TDGELU", "TDSoftmax", "TDLayerNorm", "TDMultiheadAttention", "TDLinear", "TDConv2d")}
    return {
        "label": "hybrid", "float_free": 1 - floating / total, "share": spikes / total,
        "how": "traced by neuromorphic.trace while it ran; additions of floats counted as spike-driven",
        "spiking_modules": spiking_modules(model),
        "encoders": kinds[ENCODER], "float_modules": functions,
        "float_evaluations_per_value": model.timesteps,
        "uncovered": [touch.op for touch in ledger.coverage.uncovered],
    }
