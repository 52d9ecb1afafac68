"""The adapted network against the model it came from: what the module tree does not show is seen here.

    |graph(x) - model(x)| <= tolerance * RMS(model(x))        float64: 1e-5, float32: 1e-4, on real tokens

In float64 the model's copy is read again, so that folded weights are not rounded to float32 and the check is one of
the algebra alone. In float32 a network may amplify rounding itself: where |model32(x) - model64(x)| is larger than the
tolerance, four times that is allowed, and the number is in the result.

The comparison runs on copies with eager attention and torch's fused paths off; the user's model is not touched.
"""

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neuromorphic.convert.adapters.adapter import Adapted, Inputs, evaluation
from spikeattn.converted.graph import Graph

TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-4}


@dataclass(frozen=True)
class Equality:
    """Largest difference relative to the output's RMS in float64 and in float32, over so many batches.

    rounding: the same difference between the model in float32 and itself in float64.
    """

    float64: float
    float32: float
    rounding: float
    batches: int


@torch.no_grad()
def verify(adapted: Adapted, batches: Iterable[Inputs]) -> Equality:
    """Compare on batches of inputs by name; ValueError where the graph is not the model.

    Where the graph takes a mask, every batch also runs with a third of every other item masked: padding is where an
    adapter goes wrong first, and a batch of equal lengths would not show it.
    """
    batches = list(batches)
    if not batches:
        raise ValueError("verify: at least one batch must be given, got none. Pass calibration batches.")
    trials = [trial for batch in batches for trial in (batch, *shortened(batch, adapted.graph.inputs))]
    model64 = eager(copy.deepcopy(adapted.source)).to(torch.float64)
    graph64 = adapted.again(model64).graph if adapted.again else copy.deepcopy(adapted.graph).to(torch.float64)
    exact, wanted64 = compare(outputs(adapted, model64, graph64, trials, torch.float64))
    check(adapted, torch.float64, exact, TOLERANCES[torch.float64])
    del model64, graph64
    model32 = eager(copy.deepcopy(adapted.source)).to(torch.float32)
    graph32 = copy.deepcopy(adapted.graph).to(torch.float32)
    rounded, wanted32 = compare(outputs(adapted, model32, graph32, trials, torch.float32))
    rounding, _ = compare(zip(wanted64, wanted32, strict=True))
    check(adapted, torch.float32, rounded, max(TOLERANCES[torch.float32], 4 * rounding))
    return Equality(exact, rounded, rounding, len(batches))


def check(adapted: Adapted, dtype: torch.dtype, difference: float, tolerance: float) -> None:
    if not difference <= tolerance:
        raise ValueError(
            f"convert: the adapted {adapted.family} must equal {type(adapted.source).__name__} to {tolerance:.3g} of "
            f"the output's RMS in {str(dtype).removeprefix('torch.')}, got {difference:.3g}. Its forward does "
            "something that is no module (a functional relu, a mean, a hook, another order of children). Write it "
            "as modules, in the order in which they run, or register an adapter."
        )


def outputs(adapted: Adapted, model: nn.Module, graph: Graph, batches: list[Inputs],
            dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
    """What the model and the graph give for each batch, on real tokens."""
    with evaluation(model), evaluation(graph):
        for batch in batches:
            inputs = {name: x.to(dtype) if x.is_floating_point() else x for name, x in batch.items()}
            expected, found = adapted.output(model, inputs), graph(inputs)
            if expected.shape != found.shape:
                raise ValueError(
                    f"convert: the adapted {adapted.family} must give what {type(model).__name__} gives, "
                    f"{tuple(expected.shape)}, got {tuple(found.shape)}. Its forward does something that is no module."
                )
            if not torch.isfinite(real(expected, inputs)).all():
                raise ValueError(
                    f"convert: the outputs of {type(model).__name__} must be finite, got NaN or infinity. "
                    "Check its weights and the calibration data."
                )
            yield real(expected, inputs), real(found, inputs)


def compare(pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, list[Tensor]]:
    """Largest difference over all batches, relative to the RMS of what is wanted; and what is wanted.

    One batch at a time: the logits of a language model have as many columns as its vocabulary.

    >>> compare([(torch.tensor([2.0, 2.0]), torch.tensor([2.0, 3.0])), (torch.tensor([2.0]), torch.tensor([2.0]))])[0]
    0.5
    """
    kept, gap, square, count = [], 0.0, 0.0, 0
    for wanted, got in pairs:
        gap = max(gap, (wanted.double() - got.double()).abs().max().nan_to_num(math.inf).item())
        square += wanted.double().square().sum().item()
        count += wanted.numel()
        kept.append(wanted)
    return gap / max(math.sqrt(square / count), 1e-30), kept


def shortened(batch: Inputs, names: tuple[str, ...]) -> list[Inputs]:
    """The batch with the last third of the items 0, 2, 4, ... masked; nothing where there is no mask.

    >>> shortened({"tokens": torch.zeros(2, 3, 1)}, ("tokens", "attention_mask"))[0]["attention_mask"].tolist()
    [[1, 1, 0], [1, 1, 1]]
    """
    if "attention_mask" not in names:
        return []
    x = batch[names[0]]
    mask = batch.get("attention_mask", torch.ones(x.shape[:2], dtype=torch.long, device=x.device)).clone()
    mask[::2, -(x.shape[1] // 3) or x.shape[1] :] = 0
    return [{**batch, "attention_mask": mask}] if (mask != 0).any(1).all() else []


def real(x: Tensor, inputs: Inputs) -> Tensor:
    """The values of real tokens, or all where the output has no tokens."""
    mask = inputs.get("attention_mask")
    return x[mask != 0] if mask is not None and x.ndim == 3 and x.shape[:2] == mask.shape else x


def eager(module: nn.Module) -> nn.Module:
    """The module with the plain attention in place of a fused one."""
    for part in module.modules():
        if hasattr(part, "set_attn_implementation") and hasattr(part, "config"):
            part.set_attn_implementation("eager")
        if isinstance(getattr(part, "fused_attn", None), bool):
            part.fused_attn = False
        if getattr(part, "reorder_and_upcast_attn", False):  # GPT-2's product in float32 alone: the same values
            part.reorder_and_upcast_attn = False
    return module
