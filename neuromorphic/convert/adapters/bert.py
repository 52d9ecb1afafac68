"""BERT and RoBERTa of transformers: post-norm encoders with learned positions.

    x  = LN(words + positions + segments)
    x  = LN(x + W_o attention(x)),   x = LN(x + W_2 gelu(W_1 x))          each layer
    pooled = tanh(W x_0),  logits = W_c pooled

RoBERTa counts positions from padding_idx + 1 on over the real tokens, and its classifier has the pooler inside.
"""

from torch import Tensor, nn

from neuromorphic.convert.adapters.adapter import Adapted, Inputs, Walk, doubled, unknown
from neuromorphic.convert.layers import Add, Embedding, Select, SoftmaxAttention

INPUTS = ("input_ids", "?attention_mask", "?token_type_ids")


def hidden(model: nn.Module, inputs: Inputs) -> Tensor:
    return model(**inputs).last_hidden_state


def pooled(model: nn.Module, inputs: Inputs) -> Tensor:
    return model(**inputs).pooler_output


def logits(model: nn.Module, inputs: Inputs) -> Tensor:
    return model(**inputs).logits


def base(model: nn.Module, output: str) -> Adapted:
    """BertModel or RobertaModel: the tokens, or the pooled first token."""
    walk, prefix = Walk(model, *INPUTS), ""
    x = encoder(walk, prefix)
    if output == "pooled":
        return walk.finish(family(model), "text", pooler(walk, prefix, x), pooled)
    if model.pooler is not None:
        walk.leave("pooler")
    return walk.finish(family(model), "text", x, hidden)


def classifier(model: nn.Module, output: str) -> Adapted:
    """BertForSequenceClassification or RobertaForSequenceClassification: the logits."""
    walk = Walk(model, *INPUTS)
    walk.take("")
    if hasattr(model, "bert"):
        x = pooler(walk, "bert.", encoder(walk, "bert."))
        x = walk.linear("classifier", x, readout=True)
    else:
        x = encoder(walk, "roberta.")
        walk.take("classifier", "RobertaClassificationHead")
        x = walk.add("classifier.select", Select(0), x)
        x = walk.add("classifier.tanh", nn.Tanh(), walk.linear("classifier.dense", x))
        x = walk.linear("classifier.out_proj", x, readout=True)
    return walk.finish(family(model), "text", x, logits)


def family(model: nn.Module) -> str:
    return "RoBERTa" if "Roberta" in type(model).__name__ else "BERT"


def encoder(walk: Walk, prefix: str) -> str:
    """Embeddings and layers of the encoder below `prefix`; the name of the last wire."""
    model = walk.take(prefix.removesuffix("."), "BertModel", "RobertaModel")
    check_config(prefix, model)
    x = embeddings(walk, f"{prefix}embeddings")
    walk.take(f"{prefix}encoder", "BertEncoder", "RobertaEncoder")
    for index in range(len(model.encoder.layer)):
        x = layer(walk, f"{prefix}encoder.layer.{index}", x)
    return x


def check_config(prefix: str, model: nn.Module) -> None:
    """Raise for what the configuration changes without another module: a decoder, relative positions."""
    position = getattr(model.config, "position_embedding_type", "absolute") or "absolute"
    if position != "absolute":
        raise unknown(f"{prefix}embeddings.position_embeddings", f"position_embedding_type={position!r}",
                      "uses a relative position bias, which has no spiking form")  # fmt: skip
    if getattr(model.config, "is_decoder", False):
        raise unknown(f"{prefix}encoder", "is_decoder=True", "is a decoder, which has no spiking form here")


def embeddings(walk: Walk, path: str) -> str:
    module = walk.take(path, "BertEmbeddings", "RobertaEmbeddings")
    tables = [walk.leaf(f"{path}.{name}_embeddings", "Embedding") for name in ("word", "position", "token_type")]
    layer = Embedding(*(doubled(table.weight) for table in tables), padding_idx=getattr(module, "padding_idx", None))
    return walk.norm(f"{path}.LayerNorm", walk.add(f"{path}.sum", layer, "input_ids", "?token_type_ids"))


def layer(walk: Walk, path: str, x: str) -> str:
    walk.take(path, "BertLayer", "RobertaLayer")
    walk.take(f"{path}.attention", "BertAttention", "RobertaAttention")
    attention = walk.take(f"{path}.attention.self", "BertSelfAttention", "RobertaSelfAttention")
    q, k, v = (walk.linear(f"{path}.attention.self.{name}", x) for name in ("query", "key", "value"))
    mixed = walk.add(f"{path}.attention.self.attend",
                     SoftmaxAttention(attention.num_attention_heads, attention.scaling, attention.is_causal),
                     q, k, v, "?attention_mask")  # fmt: skip
    walk.take(f"{path}.attention.output", "BertSelfOutput", "RobertaSelfOutput")
    x = walk.add(f"{path}.attention.add", Add(), walk.linear(f"{path}.attention.output.dense", mixed), x)
    x = walk.norm(f"{path}.attention.output.LayerNorm", x)
    walk.take(f"{path}.intermediate", "BertIntermediate", "RobertaIntermediate")
    walk.take(f"{path}.output", "BertOutput", "RobertaOutput")
    y = walk.linear(f"{path}.intermediate.dense", x)
    y = walk.activation(f"{path}.intermediate.intermediate_act_fn", y)
    x = walk.add(f"{path}.output.add", Add(), walk.linear(f"{path}.output.dense", y), x)
    return walk.norm(f"{path}.output.LayerNorm", x)


def pooler(walk: Walk, prefix: str, x: str) -> str:
    walk.take(f"{prefix}pooler", "BertPooler", "RobertaPooler")
    x = walk.add(f"{prefix}pooler.select", Select(0), x)
    return walk.activation(f"{prefix}pooler.activation", walk.linear(f"{prefix}pooler.dense", x))


ADAPTERS = {
    "BertModel": base, "RobertaModel": base,
    "BertForSequenceClassification": classifier, "RobertaForSequenceClassification": classifier,
}  # fmt: skip
