"""torch's own encoders: nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention (self-attention).

    norm_first=False   x = LN(x + attention(x)),   x = LN(x + W_2 f(W_1 x))
    norm_first=True    x = x + attention(LN(x)),   x = x + W_2 f(W_1 LN(x))

Here tokens are (B, N, D) whatever the module's batch_first, and the mask is 1 on real tokens.
"""

from torch import Tensor, nn

from neuromorphic.convert.adapters.adapter import Adapted, Inputs, Walk, doubled, linear, unknown
from neuromorphic.convert.layers import Add, SoftmaxAttention

INPUTS = ("tokens", "?attention_mask")
ATTENTION = "self_attn"


def batch_first(model: nn.Module) -> bool:
    return next(part.batch_first for part in model.modules() if isinstance(part, nn.MultiheadAttention))


def padding(inputs: Inputs) -> Tensor | None:
    """torch's mask, True where a key is hidden."""
    return inputs["attention_mask"] == 0 if "attention_mask" in inputs else None


def encoded(model: nn.Module, inputs: Inputs) -> Tensor:
    tokens = inputs["tokens"]
    if batch_first(model):
        return model(tokens, src_key_padding_mask=padding(inputs))
    return model(tokens.transpose(0, 1), src_key_padding_mask=padding(inputs)).transpose(0, 1)


def attended(model: nn.Module, inputs: Inputs) -> Tensor:
    x = inputs["tokens"] if model.batch_first else inputs["tokens"].transpose(0, 1)
    out = model(x, x, x, key_padding_mask=padding(inputs), need_weights=False)[0]
    return out if model.batch_first else out.transpose(0, 1)


def encoder(model: nn.Module, output: str) -> Adapted:
    walk = Walk(model, *INPUTS)
    return walk.finish("nn.TransformerEncoder", "tokens", layers(walk, "", "tokens", "?attention_mask"), encoded)


def single(model: nn.Module, output: str) -> Adapted:
    walk = Walk(model, *INPUTS)
    return walk.finish("nn.TransformerEncoderLayer", "tokens", layer(walk, "", "tokens", "?attention_mask"), encoded)


def alone(model: nn.Module, output: str) -> Adapted:
    walk = Walk(model, *INPUTS)
    return walk.finish("nn.MultiheadAttention", "tokens", attention(walk, "", "tokens", "?attention_mask"), attended)


def under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def layers(walk: Walk, path: str, x: str, *mask: str) -> str:
    """The nn.TransformerEncoder at `path`."""
    module = walk.take(path, "TransformerEncoder")
    for index in range(len(module.layers)):
        x = layer(walk, under(path, f"layers.{index}"), x, *mask)
    return x if module.norm is None else walk.norm(under(path, "norm"), x)


def layer(walk: Walk, path: str, x: str, *mask: str) -> str:
    """The nn.TransformerEncoderLayer at `path`."""
    module = walk.take(path, "TransformerEncoderLayer")
    mixing, norm1, norm2 = (under(path, name) for name in (ATTENTION, "norm1", "norm2"))
    if module.norm_first:
        x = walk.add(under(path, "attn_add"), Add(), x, attention(walk, mixing, walk.norm(norm1, x), *mask))
        return walk.add(under(path, "mlp_add"), Add(), x, feed_forward(walk, path, walk.norm(norm2, x)))
    x = walk.norm(norm1, walk.add(under(path, "attn_add"), Add(), x, attention(walk, mixing, x, *mask)))
    return walk.norm(norm2, walk.add(under(path, "mlp_add"), Add(), x, feed_forward(walk, path, x)))


def feed_forward(walk: Walk, path: str, x: str) -> str:
    y = walk.activation(under(path, "activation"), walk.linear(under(path, "linear1"), x))
    return walk.linear(under(path, "linear2"), y)


def attention(walk: Walk, path: str, x: str, *mask: str) -> str:
    """The nn.MultiheadAttention at `path`, with queries, keys and values from one wire."""
    module = walk.leaf(path, "MultiheadAttention")
    if module.in_proj_weight is None:
        raise unknown(path, module, "is a cross-attention (kdim or vdim is set), which has no spiking form")
    if module.bias_k is not None or module.add_zero_attn:
        raise unknown(path, module, "must have neither add_bias_kv nor add_zero_attn")
    weights = doubled(module.in_proj_weight).chunk(3)
    biases = (None,) * 3 if module.in_proj_bias is None else doubled(module.in_proj_bias).chunk(3)
    q, k, v = (walk.add(under(path, f"in_proj.{name}"), linear(w, b), x)
               for name, w, b in zip("qkv", weights, biases, strict=True))  # fmt: skip
    mixed = SoftmaxAttention(module.num_heads, module.head_dim**-0.5)
    return walk.linear(under(path, "out_proj"), walk.add(under(path, "attend"), mixed, q, k, v, *mask))


ADAPTERS = {"TransformerEncoder": encoder, "TransformerEncoderLayer": single, "MultiheadAttention": alone}
