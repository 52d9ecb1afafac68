"""ViT and DeiT of transformers: pre-norm encoders on patches.

    x = [class token; (distillation token); patches] + positions
    x = x + W_o attention(LN(x)),   x = x + W_2 gelu(W_1 LN(x))           each layer
    x = LN(x),  logits = W_c x_0

DeiT with a teacher answers with the mean of two heads, on the class and on the distillation token.
"""

import torch
from torch import Tensor, nn

from neuromorphic.convert.adapters.adapter import Adapted, Inputs, Walk, conv, doubled, linear
from neuromorphic.convert.layers import Add, Patches, Select, SoftmaxAttention


def hidden(model: nn.Module, inputs: Inputs) -> Tensor:
    return model(pixel_values=inputs["pixels"]).last_hidden_state


def pooled(model: nn.Module, inputs: Inputs) -> Tensor:
    return model(pixel_values=inputs["pixels"]).pooler_output


def logits(model: nn.Module, inputs: Inputs) -> Tensor:
    return model(pixel_values=inputs["pixels"]).logits


def base(model: nn.Module, output: str) -> Adapted:
    """ViTModel or DeiTModel: the tokens, or the pooled class token."""
    walk = Walk(model, "pixels")
    x = encoder(walk, "")
    if output == "pooled":
        walk.take("pooler", "ViTPooler", "DeiTPooler")
        x = walk.linear("pooler.dense", walk.add("pooler.select", Select(0), x))
        return walk.finish(family(model), "pictures", walk.activation("pooler.activation", x), pooled)
    if model.pooler is not None:
        walk.leave("pooler")
    return walk.finish(family(model), "pictures", x, hidden)


def classifier(model: nn.Module, output: str) -> Adapted:
    """ViTForImageClassification or DeiTForImageClassification: the logits."""
    walk = Walk(model, "pixels")
    walk.take("")
    x = encoder(walk, f"{model.base_model_prefix}.")
    x = walk.add("classifier_select", Select(0), x, readout=True)
    return walk.finish(family(model), "pictures", walk.linear("classifier", x, readout=True), logits)


def taught(model: nn.Module, output: str) -> Adapted:
    """DeiTForImageClassificationWithTeacher: half the sum of both heads, the half folded into their weights."""
    walk = Walk(model, "pixels")
    walk.take("")
    x = encoder(walk, "deit.")
    heads = []
    for index, name in enumerate(("cls_classifier", "distillation_classifier")):
        token = walk.add(f"{name}_select", Select(index), x, readout=True)
        weight, bias = walk.affine(name)
        heads.append(walk.add(name, linear(weight / 2, bias / 2), token, readout=True))
    return walk.finish("DeiT", "pictures", walk.add("classifier_mean", Add(), *heads, readout=True), logits)


def family(model: nn.Module) -> str:
    return "DeiT" if "DeiT" in type(model).__name__ else "ViT"


def encoder(walk: Walk, prefix: str) -> str:
    model = walk.take(prefix.removesuffix("."), "ViTModel", "DeiTModel")
    x = embeddings(walk, f"{prefix}embeddings")
    for index in range(len(model.layers)):
        x = layer(walk, f"{prefix}layers.{index}", x)
    return walk.norm(f"{prefix}layernorm", x)


def embeddings(walk: Walk, path: str) -> str:
    module = walk.take(path, "ViTEmbeddings", "DeiTEmbeddings")
    tokens = [walk.parameter(f"{path}.{name}")[0] for name in ("cls_token", "distillation_token")
              if hasattr(module, name)]  # fmt: skip
    if module.mask_token is not None:
        walk.parameter(f"{path}.mask_token")  # only masked pre-training reads it
    positions = walk.parameter(f"{path}.position_embeddings")[0]
    walk.take(f"{path}.patch_embeddings", "ViTPatchEmbeddings", "DeiTPatchEmbeddings")
    patch = walk.leaf(f"{path}.patch_embeddings.projection", "Conv2d")
    layer = Patches(conv(patch, doubled(patch.weight), doubled(patch.bias)),
                    torch.cat(tokens) + positions[: len(tokens)], positions[len(tokens) :])  # fmt: skip
    return walk.add(f"{path}.patch_embeddings.tokens", layer, "pixels")


def layer(walk: Walk, path: str, x: str) -> str:
    walk.take(path, "ViTLayer", "DeiTLayer")
    attention = walk.take(f"{path}.attention", "ViTAttention", "DeiTAttention")
    y = walk.norm(f"{path}.layernorm_before", x)
    q, k, v = (walk.linear(f"{path}.attention.{name}_proj", y) for name in "qkv")
    mixed = walk.add(f"{path}.attention.attend", SoftmaxAttention(attention.num_attention_heads, attention.scaling),
                     q, k, v)  # fmt: skip
    x = walk.add(f"{path}.attention.add", Add(), walk.linear(f"{path}.attention.o_proj", mixed), x)
    walk.take(f"{path}.mlp", "ViTMLP", "DeiTMLP")
    y = walk.linear(f"{path}.mlp.fc1", walk.norm(f"{path}.layernorm_after", x))
    y = walk.linear(f"{path}.mlp.fc2", walk.activation(f"{path}.mlp.activation_fn", y))
    return walk.add(f"{path}.mlp.add", Add(), y, x)


ADAPTERS = {
    "ViTModel": base, "DeiTModel": base,
    "ViTForImageClassification": classifier, "DeiTForImageClassification": classifier,
    "DeiTForImageClassificationWithTeacher": taught,
}  # fmt: skip
