"""Rows that the published spiking transformers share: projections of attention and MLP under their many names."""

from spikeattn.interop.published.engine import FROM_CONV1D, FROM_CONV2D, SAME, Dead, Row

LAYERS = {"linear": SAME, "conv1d": FROM_CONV1D, "conv2d": FROM_CONV2D}  # how their code writes a matrix


def neuron_row(theirs: str, ours: str) -> Row:
    return Row(theirs, ours, neuron=True)


def projection(theirs: str, ours: str, layer: str) -> list[Row]:
    """`theirs`_conv (or _linear) with `theirs`_bn -> our Projection."""
    suffix = "linear" if layer == "linear" else "conv"
    return [Row(f"{theirs}_{suffix}", f"{ours}.linear", LAYERS[layer]), Row(f"{theirs}_bn", f"{ours}.norm")]


def self_attention(theirs: str, ours: str, layer: str, names: str = "qkv") -> list[Row]:
    """q, k, v, proj with their neurons, and the neuron between attention and proj."""
    rows = [row for name in (*names, "proj") for row in projection(f"{theirs}.{name}", f"{ours}.{name}", layer)]
    return rows + [neuron_row(f"{theirs}.{name}_lif", f"{ours}.{name}_neuron") for name in (*names, "attn")]


def query_key_attention(theirs: str, ours: str, layer: str) -> list[Row]:
    """q, k, proj with their neurons, and the neuron of the gates."""
    return self_attention(theirs, ours, layer, names="qk")


def dead_layer_norms(names: list[str], dim: int) -> list[Dead]:
    """LayerNorms that are constructed and never called."""
    return [Dead(f"{name}.{kind}", (dim,), fill, "LayerNorm that no forward pass uses")
            for name in names for kind, fill in (("weight", 1.0), ("bias", 0.0))]
