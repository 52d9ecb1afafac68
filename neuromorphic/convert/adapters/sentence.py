"""Sentence embeddings: an encoder, its pooling and, where the directory says so, normalisation.

    e = normalise(pool(encoder(text)))        pool: mean over the real tokens, or the first token
"""

from torch import Tensor, nn

from neuromorphic.convert.adapters.adapter import Adapted, Inputs, Walk
from neuromorphic.convert.layers import MeanPool, Normalise, Select


class SentenceEncoder(nn.Module):
    """What a sentence-transformers directory describes: `model(input_ids=..., attention_mask=...) -> (B, D)`.

    encoder: a transformers encoder with last_hidden_state. pooling: "mean" or "cls".
    """

    def __init__(self, encoder: nn.Module, pooling: str = "mean", normalise: bool = True):
        super().__init__()
        self.encoder = encoder
        self.pool = {"mean": MeanPool, "cls": Select}[pooling]()
        self.normalise = Normalise() if normalise else nn.Identity()

    @property
    def config(self):
        return self.encoder.config

    def forward(self, attention_mask: Tensor | None = None, **inputs: Tensor) -> Tensor:
        x = self.encoder(attention_mask=attention_mask, **inputs).last_hidden_state
        return self.normalise(self.pool(x, attention_mask) if isinstance(self.pool, MeanPool) else self.pool(x))


def embedding(model: nn.Module, inputs: Inputs) -> Tensor:
    return model(**inputs)


def sentence(model: SentenceEncoder, output: str) -> Adapted:
    """The encoder's own adapter, then the read-out: pooling and normalisation."""
    from neuromorphic.convert.adapters import adapt  # the registry holds this very file

    inner = adapt(model.encoder)
    walk = Walk(model, *inner.graph.inputs)
    walk.take("")
    walk.leave("encoder")
    walk.leave("pool")
    walk.leave("normalise")
    for wire in inner.graph.wires:
        walk.add(wire.name, wire.layer, *wire.inputs, readout=wire.name in inner.readout)
    masked = ("?attention_mask",) if isinstance(model.pool, MeanPool) else ()
    x = walk.add("sentence.pool", type(model.pool)(), inner.graph.output, *masked, readout=True)
    if isinstance(model.normalise, Normalise):
        x = walk.add("sentence.normalise", Normalise(), x, readout=True)
    return walk.finish(f"sentence-transformers ({inner.family})", "text", x, embedding)


ADAPTERS = {"SentenceEncoder": sentence}
