"""VisionTransformer of timm, with its fused projections, LayerScale and kinds of pooling.

    x = [class token; register tokens; patches] + positions               or the positions on the patches only
    x = x + g_1 W_o attention(LN(x)),   x = x + g_2 W_2 gelu(W_1 LN(x))   each block; g folds into the W before it
    logits = W_c LN(pool(x))  or  W_c pool(LN(x))                         pool: class token or mean of the patches
"""

import torch
from torch import Tensor, nn

from neuromorphic.convert.adapters.adapter import Adapted, Inputs, Walk, conv, doubled, layer_norm, linear, unknown
from neuromorphic.convert.layers import Add, MeanPool, Patches, Select, SoftmaxAttention


def forward(model: nn.Module, inputs: Inputs) -> Tensor:
    return model(inputs["pixels"])


def transformer(model: nn.Module, output: str) -> Adapted:
    """The logits; the pooled features of a model without head; all tokens of one without pooling."""
    walk = Walk(model, "pixels")
    walk.take("")
    if model.global_pool not in ("", "token", "avg") or getattr(model, "attn_pool", None) is not None:
        raise unknown("attn_pool" if getattr(model, "attn_pool", None) is not None else "", model,
                      f"must pool the class token or the mean, got global_pool={model.global_pool!r}")  # fmt: skip
    x = norm(walk, "norm_pre", patches(walk))
    walk.take("blocks", "Sequential")
    for index in range(len(model.blocks)):
        x = block(walk, f"blocks.{index}", x)
    x = norm(walk, "norm", x)
    if model.global_pool == "token":
        x = walk.add("pool", Select(0), x, readout=True)
    elif model.global_pool == "avg":
        x = walk.add("pool", MeanPool(0 if model.pool_include_prefix else model.num_prefix_tokens), x, readout=True)
    x = norm(walk, "fc_norm", x, readout=True)
    if not isinstance(model.head, nn.Identity):
        x = walk.linear("head", x, readout=True)
    return walk.finish("timm ViT", "pictures", x, forward)


def patches(walk: Walk) -> str:
    model = walk.model
    module = walk.take("patch_embed", "PatchEmbed")
    if not isinstance(module.norm, nn.Identity):
        raise unknown("patch_embed.norm", module.norm)
    if getattr(model, "dynamic_img_size", False):
        raise unknown("patch_embed", module, "must have dynamic_img_size=False, for positions are then fixed")
    patch = walk.leaf("patch_embed.proj", "Conv2d")
    tokens = [walk.parameter(name)[0] for name in ("cls_token", "reg_token") if getattr(model, name, None) is not None]
    prefix = torch.cat(tokens) if tokens else None
    positions = walk.parameter("pos_embed")[0] if model.pos_embed is not None else None
    if prefix is not None and positions is not None and not model.no_embed_class:
        prefix, positions = prefix + positions[: len(prefix)], positions[len(prefix) :]
    layer = Patches(conv(patch, doubled(patch.weight), doubled(patch.bias)), prefix, positions)
    return walk.add("patch_embed.tokens", layer, "pixels")


def norm(walk: Walk, path: str, x: str, *, readout: bool = False) -> str:
    """A LayerNorm, torch's or timm's own, or nothing."""
    module = walk.model.get_submodule(path)
    if isinstance(module, nn.Identity):
        return x
    module = walk.leaf(path, "LayerNorm", "LayerNormFp32")
    return walk.add(path, layer_norm(module), x, readout=readout)


def block(walk: Walk, path: str, x: str) -> str:
    module = walk.take(path, "Block")
    attention = walk.take(f"{path}.attn", "Attention")
    for name in ("q_norm", "k_norm", "norm"):
        part = getattr(attention, name, None)
        if part is not None and not isinstance(part, nn.Identity):
            raise unknown(f"{path}.attn.{name}", part)
    y = norm(walk, f"{path}.norm1", x)
    weight, bias = walk.affine(f"{path}.attn.qkv")
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    q, k, v = (walk.add(f"{path}.attn.qkv.{name}", linear(w, b), y)
               for name, w, b in zip("qkv", weight.chunk(3), biases, strict=True))  # fmt: skip
    mixed = walk.add(f"{path}.attn.attend", SoftmaxAttention(attention.num_heads, attention.scale), q, k, v)
    x = walk.add(f"{path}.attn.add", Add(), scaled(walk, f"{path}.attn.proj", f"{path}.ls1", mixed), x)
    walk.take(f"{path}.mlp", "Mlp")
    if not isinstance(module.mlp.norm, nn.Identity):
        raise unknown(f"{path}.mlp.norm", module.mlp.norm)
    y = walk.linear(f"{path}.mlp.fc1", norm(walk, f"{path}.norm2", x))
    y = scaled(walk, f"{path}.mlp.fc2", f"{path}.ls2", walk.activation(f"{path}.mlp.act", y))
    return walk.add(f"{path}.mlp.add", Add(), y, x)


def scaled(walk: Walk, path: str, scale: str, x: str) -> str:
    """The Linear at `path` with the LayerScale behind it, if there is one, folded in."""
    weight, bias = walk.affine(path)
    if not isinstance(walk.model.get_submodule(scale), nn.Identity):
        gamma = doubled(walk.leaf(scale, "LayerScale").gamma)
        weight, bias = gamma[:, None] * weight, None if bias is None else gamma * bias
    return walk.add(path, linear(weight, bias), x)


ADAPTERS = {"VisionTransformer": transformer}
