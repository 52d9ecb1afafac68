"""Our ANN twins: vit_* converts whole, cat_* but for its FFT mixing.

    x = BN(conv pixels),  then  x = BN(conv pool(gelu(x)))                         each further stage of the stem
    x = x + BN(W_o attention(BN(W_q a), BN(W_k a), BN(W_v a))),   a = gelu(x)      each block
    x = x + BN(W_2 gelu(BN(W_1 gelu(x))))
    logits = W mean_n(x) + b

Every batch norm is folded into the convolution or linear layer before it.
"""

from torch import Tensor, nn

from neuromorphic.convert.adapters.adapter import Adapted, Inputs, Walk, conv, folded, linear, unknown
from neuromorphic.convert.layers import Add, CircularAttention, MeanPool, SoftmaxAttention, ToTokens
from spikeattn.blocks import MembraneShortcut
from spikeattn.neurons import Neuron


def logits(model: nn.Module, inputs: Inputs) -> Tensor:
    out = model(inputs["pixels"])
    return out.mean(0) if out.ndim == 3 else out


def twin(model: nn.Module, output: str) -> Adapted:
    """A model on the Spikingformer skeleton whose neurons are activations."""
    walk = Walk(model, "pixels")
    walk.take("")
    x = stem(walk, "stem")
    x = walk.add("stem.tokens", ToTokens(), x)
    for index in range(len(model.blocks)):
        x = block(walk, f"blocks.{index}", x)
    x = walk.add("head_pool", MeanPool(), x, readout=True)
    return walk.finish("cat" if walk_has_cat(walk) else "vit", "pictures", walk.linear("head", x, readout=True), logits)


def walk_has_cat(walk: Walk) -> bool:
    return any(isinstance(wire.layer, CircularAttention) for wire in walk.wires)


def stem(walk: Walk, path: str) -> str:
    module = walk.take(path, "SpikingformerStem")
    x = conv_norm(walk, f"{path}.convs.0", "pixels", stem=True)
    for index in range(1, len(module.convs)):
        x = neuron(walk, f"{path}.neurons.{index - 1}", x)
        pool = f"{path}.pools.{index - 1}"
        if type(module.pools[index - 1]).__name__ == "SpikePool":
            walk.take(pool)
            x = walk.add(pool, nn.MaxPool2d(3, 2, 1), x)
        x = conv_norm(walk, f"{path}.convs.{index}", x)
    return x


def conv_norm(walk: Walk, path: str, x: str, *, stem: bool = False) -> str:
    walk.take(path, "ConvNorm")
    module, norm = walk.leaf(f"{path}.conv", "Conv2d"), walk.leaf(f"{path}.norm", "BatchNorm2d")
    return walk.add(path, conv(module, *folded(module.weight, module.bias, norm)), x, stem=stem)


def projection(walk: Walk, path: str, x: str) -> str:
    walk.take(path)
    if type(walk.model.get_submodule(path)).__name__ != "Projection":
        raise unknown(path, walk.model.get_submodule(path))
    weight, bias = walk.affine(f"{path}.linear")
    return walk.add(path, linear(*folded(weight, bias, walk.leaf(f"{path}.norm", "ChannelNorm"))), x)


def neuron(walk: Walk, path: str, x: str) -> str:
    module = walk.model.get_submodule(path)
    if isinstance(module, Neuron):
        raise unknown(path, module, "spikes already: only the ANN twins vit_* and cat_* are converted")
    return walk.activation(path, x)


def block(walk: Walk, path: str, x: str) -> str:
    module = walk.take(path, "EncoderBlock")
    if module.inner_shortcut or not isinstance(module.shortcut, MembraneShortcut):
        raise unknown(path, module, "must have the membrane shortcut around attention and MLP")
    if module.attn_neuron is not None:
        y = attention(walk, f"{path}.attn", neuron(walk, f"{path}.attn_neuron", x))
        x = walk.add(f"{path}.attn_add", Add(), x, y)
    else:
        walk.leave(f"{path}.attn")
    walk.take(f"{path}.mlp", "MLP")
    y = projection(walk, f"{path}.mlp.fc1", neuron(walk, f"{path}.mlp_neuron", x))
    y = projection(walk, f"{path}.mlp.fc2", neuron(walk, f"{path}.mlp.neuron", y))
    return walk.add(f"{path}.mlp_add", Add(), x, y)


def attention(walk: Walk, path: str, x: str) -> str:
    module = walk.take(path)
    if type(module).__name__ == "SoftmaxAttention":
        q, k, v = (projection(walk, f"{path}.{name}", x) for name in "qkv")
        layer = SoftmaxAttention(module.heads, (module.dim // module.heads) ** -0.5, module.causal)
        return projection(walk, f"{path}.proj", walk.add(f"{path}.attend", layer, q, k, v))
    if type(module).__name__ != "CircularAttention":
        raise unknown(path, module)
    coefficients = f"{path}.coefficients"
    kind = type(walk.take(coefficients)).__name__
    v = projection(walk, f"{path}.v", x)
    if kind == "TokenCoefficients":
        z = (walk.linear(f"{coefficients}.linear", x),)
    elif kind == "AveragedKeyCoefficients":
        z = tuple(projection(walk, f"{coefficients}.{name}", x) for name in "qk")
    else:
        raise unknown(coefficients, walk.model.get_submodule(coefficients))
    layer = CircularAttention(module.heads, orientation=module.orientation, causal=module.causal,
                              normaliser=module.normaliser, implementation=module.implementation)  # fmt: skip
    return projection(walk, f"{path}.proj", walk.add(f"{path}.mix", layer, v, *z))


ADAPTERS = {"VisionTransformer": twin, "CircularTransformer": twin, "Spikingformer": twin}
