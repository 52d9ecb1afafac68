"""Any module whose parts are all known: its children as a chain, in the order in which they were registered.

    x_{i+1} = child_i(x_i)

A child around nn.MultiheadAttention with a norm for each branch is read as a transformer block (block.py).

Whether the forward really does this is not read but tested: `verify` compares the chain with the module.
"""

import copy
import inspect
from collections.abc import Callable

from torch import Tensor, nn

from neuromorphic.convert import layers
from neuromorphic.convert.adapters import torch_transformer
from neuromorphic.convert.adapters.adapter import (
    SILENT,
    Adapted,
    Inputs,
    Walk,
    activation,
    conv,
    doubled,
    folded,
    linear,
    unknown,  # fmt: skip
)
from neuromorphic.convert.adapters.block import block, is_block
from spikeattn.converted.graph import Wire

HIDDEN_KEYS = ("src_key_padding_mask", "key_padding_mask", "padding_mask")  # True where padded
OURS = ("ToTokens", "Select", "MeanPool", "Normalise")
WHOLE = ("transformers", "sentence_transformers", "timm", "spikeattn")  # packages of models that are no chains
FIRST = {"Embedding": ("text", "input_ids"), "Conv2d": ("pictures", "pixels"), "Flatten": ("pictures", "pixels")}


def chain(model: nn.Module, output: str) -> Adapted:
    """The children of `model` one after another."""
    first = next((part for part in model.modules() if not any(True for _ in part.children())
                  and type(part).__name__ not in SILENT), model)  # fmt: skip
    kind, name = FIRST.get(type(first).__name__, ("tokens", "tokens"))
    mask = mask_argument(model)
    walk = Walk(model, name, *(("?attention_mask",) if mask else ()))
    x = run(walk, "", name, ("?attention_mask",) if mask else ())
    declare_readout(walk)
    return walk.finish(f"chain ({type(model).__name__})", kind, x, caller(name, mask))


def mask_argument(model: nn.Module) -> str | None:
    """Under which name the forward takes a padding mask, None if it takes none."""
    names = inspect.signature(model.forward).parameters
    return next((name for name in ("attention_mask", *HIDDEN_KEYS) if name in names), None)


def caller(name: str, mask: str | None) -> Callable[[nn.Module, Inputs], Tensor]:
    def call(model: nn.Module, inputs: Inputs) -> Tensor:
        if mask is None or "attention_mask" not in inputs:
            return model(inputs[name])
        real = inputs["attention_mask"]
        return model(inputs[name], **{mask: real == 0 if mask in HIDDEN_KEYS else real})

    return call


def run(walk: Walk, path: str, x: str, mask: tuple[str, ...]) -> str:
    """The module at `path` on the wire x: a known one as it is, any other as the chain of its children."""
    module = walk.model.get_submodule(path)
    name = type(module).__name__
    if name in SILENT:
        return x
    if name in torch_transformer.ADAPTERS and type(module).__module__.startswith("torch."):
        return {"TransformerEncoder": torch_transformer.layers, "TransformerEncoderLayer": torch_transformer.layer,
                "MultiheadAttention": torch_transformer.attention}[name](walk, path, x, *mask)  # fmt: skip
    if activation(module) is not None:
        return walk.activation(path, x)
    if name in LEAVES and type(module).__module__.startswith("torch."):
        return LEAVES[name](walk, path, x)
    if name in OURS and isinstance(module, getattr(layers, name)):
        walk.take(path)
        return walk.add(path, copy.deepcopy(module), x, *(mask if name == "MeanPool" else ()))
    if type(module).__module__.partition(".")[0] in WHOLE:
        raise unknown(path, module, "is read as a whole model only, not as a part of another module")
    if not any(True for _ in module.children()):
        raise unknown(path, module)
    if is_block(module):
        return block(walk, path, x, mask, run)
    walk.take(path)
    for child in [name for name, part in module._modules.items() if part is not None]:  # also those that come twice
        x = run(walk, f"{path}.{child}".removeprefix("."), x, mask)
    return x


def embedding(walk: Walk, path: str, x: str) -> str:
    module = walk.leaf(path, "Embedding")
    if module.max_norm is not None:
        raise unknown(path, module, "must have max_norm=None, for it changes its weights while it runs")
    return walk.add(path, layers.Embedding(doubled(module.weight)), x)


def convolution(walk: Walk, path: str, x: str) -> str:
    module = walk.leaf(path, "Conv2d")
    return walk.add(path, conv(module, doubled(module.weight), doubled(module.bias)), x, stem=x == "pixels")


def batch_norm(walk: Walk, path: str, x: str) -> str:
    """Folds into the Linear or Conv2d right before it."""
    module = walk.leaf(path, "BatchNorm1d", "BatchNorm2d")
    before = walk.wires[-1] if walk.wires else None
    if before is None or not isinstance(before.layer, (nn.Linear, nn.Conv2d)) or module.running_var is None:
        raise unknown(path, module, "must stand right behind a Linear or Conv2d and have running statistics")
    source = walk.model.get_submodule(before.name)
    weight, bias = folded(source.weight, source.bias, module)
    layer = linear(weight, bias) if isinstance(source, nn.Linear) else conv(source, weight, bias)
    layer = layer.to(walk.dtype).eval().requires_grad_(False)
    layer.stem = before.name in walk.stem
    walk.wires[-1] = Wire(before.name, layer, before.inputs)
    return before.name


def pool(walk: Walk, path: str, x: str) -> str:
    module = walk.leaf(path, "AdaptiveAvgPool2d")
    if module.output_size not in (1, (1, 1)):
        raise unknown(path, module, "must pool the whole picture, output_size=1")
    return walk.add(f"{path}.mean", layers.MeanPool(), walk.add(f"{path}.tokens", layers.ToTokens(), x))


def as_is(walk: Walk, path: str, x: str) -> str:
    module = walk.leaf(path, "MaxPool2d", "Flatten")
    return walk.add(path, copy.deepcopy(module), x)


def declare_readout(walk: Walk) -> None:
    """The last Linear, and the pooling in front of it where nothing else with weights lies behind that."""
    weighty = [index for index, wire in enumerate(walk.wires) if isinstance(wire.layer, (nn.Linear, nn.Conv2d))]
    last = len(walk.wires) - 1
    pools = [index for index, wire in enumerate(walk.wires)
             if isinstance(wire.layer, (layers.MeanPool, layers.Select, layers.Normalise))]  # fmt: skip
    start = last if weighty and weighty[-1] == last and len(weighty) > 1 else last + 1
    behind = [index for index in pools if not [w for w in weighty if w > index and w < start]]
    for wire in walk.wires[min([start, *behind]) :]:
        wire.layer.readout = True
        walk.readout.append(wire.name)


LEAVES = {
    "Linear": Walk.linear, "LayerNorm": Walk.norm, "Embedding": embedding, "Conv2d": convolution,
    "BatchNorm1d": batch_norm, "BatchNorm2d": batch_norm, "AdaptiveAvgPool2d": pool, "MaxPool2d": as_is,
    "Flatten": as_is,
}  # fmt: skip
