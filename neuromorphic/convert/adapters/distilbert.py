"""DistilBERT of transformers: BERT without segments and pooler.

    x = LN(words + positions)
    x = LN(x + W_o attention(x)),   x = LN(x + W_2 gelu(W_1 x))           each layer
    logits = W_c relu(W_p x_0)
"""

from torch import nn

from neuromorphic.convert.adapters.adapter import Adapted, Walk, doubled
from neuromorphic.convert.adapters.bert import hidden, logits
from neuromorphic.convert.layers import Add, Embedding, Select, SoftmaxAttention

INPUTS = ("input_ids", "?attention_mask")


def base(model: nn.Module, output: str) -> Adapted:
    """DistilBertModel: the tokens."""
    walk = Walk(model, *INPUTS)
    return walk.finish("DistilBERT", "text", encoder(walk, ""), hidden)


def classifier(model: nn.Module, output: str) -> Adapted:
    """DistilBertForSequenceClassification: the logits."""
    walk = Walk(model, *INPUTS)
    walk.take("")
    x = walk.add("pre_select", Select(0), encoder(walk, "distilbert."))
    x = walk.add("pre_relu", nn.ReLU(), walk.linear("pre_classifier", x))
    return walk.finish("DistilBERT", "text", walk.linear("classifier", x, readout=True), logits)


def encoder(walk: Walk, prefix: str) -> str:
    model = walk.take(prefix.removesuffix("."), "DistilBertModel")
    path = f"{prefix}embeddings"
    walk.take(path, "Embeddings")
    tables = [walk.leaf(f"{path}.{name}_embeddings", "Embedding") for name in ("word", "position")]
    x = walk.add(f"{path}.sum", Embedding(*(doubled(table.weight) for table in tables)), "input_ids")
    x = walk.norm(f"{path}.LayerNorm", x)
    walk.take(f"{prefix}transformer", "Transformer")
    for index in range(len(model.transformer.layer)):
        x = layer(walk, f"{prefix}transformer.layer.{index}", x)
    return x


def layer(walk: Walk, path: str, x: str) -> str:
    walk.take(path, "TransformerBlock")
    attention = walk.take(f"{path}.attention", "DistilBertSelfAttention")
    q, k, v = (walk.linear(f"{path}.attention.{name}_lin", x) for name in "qkv")
    mixed = walk.add(f"{path}.attention.attend", SoftmaxAttention(attention.n_heads, attention.scaling), q, k, v,
                     "?attention_mask")  # fmt: skip
    x = walk.add(f"{path}.attention.add", Add(), walk.linear(f"{path}.attention.out_lin", mixed), x)
    x = walk.norm(f"{path}.sa_layer_norm", x)
    walk.take(f"{path}.ffn", "FFN")
    y = walk.activation(f"{path}.ffn.activation", walk.linear(f"{path}.ffn.lin1", x))
    x = walk.add(f"{path}.ffn.add", Add(), walk.linear(f"{path}.ffn.lin2", y), x)
    return walk.norm(f"{path}.output_layer_norm", x)


ADAPTERS = {"DistilBertModel": base, "DistilBertForSequenceClassification": classifier}
