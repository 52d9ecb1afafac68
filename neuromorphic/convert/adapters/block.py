"""A transformer block of your own around nn.MultiheadAttention: one norm for each branch, perhaps an MLP.

    pre-norm    x = x + attention(LN_1 x),   x = x + mlp(LN_2 x)
    post-norm   x = LN_1(x + attention(x)),  x = LN_2(x + mlp(x))

The module tree does not say which of the two it is, so a copy of the block is run once on random tokens and compared
with both. The whole model is compared again by `verify`.
"""

import copy
from collections.abc import Callable

import torch
from torch import nn

from neuromorphic.convert.adapters import torch_transformer
from neuromorphic.convert.adapters.adapter import SILENT, Walk, evaluation, unknown
from neuromorphic.convert.layers import Add
from spikeattn.converted.graph import Graph

FORMS = ("pre", "post")
Run = Callable[[Walk, str, str, tuple[str, ...]], str]  # reads the module at a path on a wire


def is_block(module: nn.Module) -> bool:
    """Whether a module holds one attention and a norm for each of its branches."""
    attention, norms, rest = parts(module)
    return len(attention) == 1 and len(norms) == (2 if rest else 1)


def parts(module: nn.Module) -> tuple[list[str], list[str], list[str]]:
    """Names of the attentions, of the norms, and of all other children, in the order of registration."""
    attention, norms, rest = [], [], []
    for name, part in module.named_children():
        if type(part) is nn.MultiheadAttention:
            attention.append(name)
        elif type(part) is nn.LayerNorm:
            norms.append(name)
        elif type(part).__name__ not in SILENT:
            rest.append(name)
    return attention, norms, rest


def block(walk: Walk, path: str, x: str, mask: tuple[str, ...], run: Run) -> str:
    """The block at `path` in the form that it has."""
    module = walk.take(path)
    attention = getattr(module, parts(module)[0][0])
    if not attention.batch_first:
        raise unknown(path, module, "must hold an nn.MultiheadAttention with batch_first=True")
    for form in FORMS:
        if has_form(module, form, run):
            return write(walk, path, x, mask, form, run)
    raise unknown(path, module, "is neither a pre-norm nor a post-norm block of its attention, norms and MLP")


@torch.no_grad()
def has_form(module: nn.Module, form: str, run: Run) -> bool:
    """Whether a copy of the block gives in float64 what the form gives, on random tokens."""
    model = copy.deepcopy(module).to("cpu", torch.float64)
    trial = Walk(model, "tokens")
    result = write(trial, "", "tokens", (), form, run)
    graph = Graph(("tokens",), trial.wires, result)
    x = torch.randn(2, 5, getattr(model, parts(model)[0][0]).embed_dim, dtype=torch.float64,
                    generator=torch.Generator().manual_seed(0))  # fmt: skip
    with evaluation(model):
        try:
            wanted = model(x)
        except TypeError:
            return False  # it needs more than tokens
    got = graph({"tokens": x})
    return isinstance(wanted, torch.Tensor) and wanted.shape == got.shape and torch.allclose(wanted, got, 1e-8, 1e-8)


def write(walk: Walk, path: str, x: str, mask: tuple[str, ...], form: str, run: Run) -> str:
    """The wires of the block in one form."""
    (attention,), norms, rest = parts(walk.model.get_submodule(path))

    def mix(y: str) -> str:
        return torch_transformer.attention(walk, torch_transformer.under(path, attention), y, *mask)

    def feed(y: str) -> str:
        for name in rest:
            y = run(walk, torch_transformer.under(path, name), y, mask)
        return y

    for norm, branch, name in zip(norms, (mix, feed), ("attn_add", "mlp_add"), strict=False):
        norm, add = torch_transformer.under(path, norm), torch_transformer.under(path, name)
        if form == "pre":
            x = walk.add(add, Add(), x, branch(walk.norm(norm, x)))
        else:
            x = walk.norm(norm, walk.add(add, Add(), x, branch(x)))
    return x
