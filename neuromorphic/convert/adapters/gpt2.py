"""GPT-2 of transformers: a pre-norm causal decoder without cross-attention.

    x = words + positions
    x = x + W_o attention(LN(x)),   x = x + W_2 gelu(W_1 LN(x))           each block, token n sees 0 ... n
    x = LN(x),  logits = words^T x                                        the tied head, declared read-out

Its Conv1D stores weights transposed, (in, out), and one of them holds W_q, W_k and W_v side by side.
"""

from torch import Tensor, nn

from neuromorphic.convert.adapters.adapter import Adapted, Inputs, Walk, doubled, linear
from neuromorphic.convert.layers import Add, Embedding, SoftmaxAttention

INPUTS = ("input_ids", "?attention_mask")


def hidden(model: nn.Module, inputs: Inputs) -> Tensor:
    return model(**inputs, use_cache=False).last_hidden_state


def logits(model: nn.Module, inputs: Inputs) -> Tensor:
    return model(**inputs, use_cache=False).logits


def base(model: nn.Module, output: str) -> Adapted:
    """GPT2Model: the tokens."""
    walk = Walk(model, *INPUTS)
    return walk.finish("GPT-2", "text", decoder(walk, ""), hidden)


def language_model(model: nn.Module, output: str) -> Adapted:
    """GPT2LMHeadModel: the logits of the next token at every place."""
    walk = Walk(model, *INPUTS)
    walk.take("")
    x = decoder(walk, "transformer.")
    return walk.finish("GPT-2", "text", walk.linear("lm_head", x, readout=True), logits)


def decoder(walk: Walk, prefix: str) -> str:
    model = walk.take(prefix.removesuffix("."), "GPT2Model")
    words, positions = (walk.leaf(f"{prefix}{name}", "Embedding") for name in ("wte", "wpe"))
    x = walk.add(f"{prefix}embeddings", Embedding(doubled(words.weight), doubled(positions.weight)), "input_ids")
    for index in range(len(model.h)):
        x = block(walk, f"{prefix}h.{index}", x)
    return walk.norm(f"{prefix}ln_f", x)


def conv1d(walk: Walk, path: str) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias of the Conv1D at `path`."""
    module = walk.leaf(path, "Conv1D")
    return doubled(module.weight).T, doubled(module.bias)


def block(walk: Walk, path: str, x: str) -> str:
    walk.take(path, "GPT2Block")
    attention = walk.take(f"{path}.attn", "GPT2Attention")
    y = walk.norm(f"{path}.ln_1", x)
    weight, bias = conv1d(walk, f"{path}.attn.c_attn")
    parts = zip(("query", "key", "value"), weight.chunk(3), bias.chunk(3), strict=True)
    q, k, v = (walk.add(f"{path}.attn.c_attn.{name}", linear(w, b), y) for name, w, b in parts)
    mixed = walk.add(f"{path}.attn.attend", SoftmaxAttention(attention.num_heads, attention.scaling, causal=True),
                     q, k, v, "?attention_mask")  # fmt: skip
    y = walk.add(f"{path}.attn.c_proj", linear(*conv1d(walk, f"{path}.attn.c_proj")), mixed)
    x = walk.add(f"{path}.attn.add", Add(), y, x)
    walk.take(f"{path}.mlp", "GPT2MLP")
    y = walk.norm(f"{path}.ln_2", x)
    y = walk.add(f"{path}.mlp.c_fc", linear(*conv1d(walk, f"{path}.mlp.c_fc")), y)
    y = walk.activation(f"{path}.mlp.act", y)
    y = walk.add(f"{path}.mlp.c_proj", linear(*conv1d(walk, f"{path}.mlp.c_proj")), y)
    return walk.add(f"{path}.mlp.add", Add(), y, x)


ADAPTERS = {"GPT2Model": base, "GPT2LMHeadModel": language_model}
