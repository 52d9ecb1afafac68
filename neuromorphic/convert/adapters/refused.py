"""What has no spiking form here, known by name, so that the error says what it is and where.

Matched on class names, children and configuration; the modules are not run.
"""

from collections.abc import Iterator

from torch import nn

CLASSES = {  # part of a class name: what it is
    "CrossAttention": "cross-attention", "EncDecAttention": "cross-attention", "TransformerDecoder": "cross-attention",
    "Rotary": "rotary position embedding", "Rope": "rotary position embedding", "RoPE": "rotary position embedding",
    "SwiGLU": "gated MLP (SwiGLU)", "GEGLU": "gated MLP (GEGLU)", "GluMlp": "gated MLP (GLU)",
    "GatedMLP": "gated MLP (GLU)", "GatedAct": "gated MLP (GLU)", "RelPos": "relative position bias",
    "Alibi": "ALiBi position bias", "BloomAttention": "ALiBi position bias", "RMSNorm": "RMSNorm",
    "T5LayerNorm": "RMSNorm",
}  # fmt: skip
CHILDREN = {  # names of children or parameters that a module has: what it is
    ("gate_proj", "up_proj"): "gated MLP (SwiGLU or GEGLU)", ("gate_up_proj",): "gated MLP (SwiGLU or GEGLU)",
    ("wi_0", "wi_1"): "gated MLP (GEGLU)", ("crossattention",): "cross-attention", ("encoder_attn",): "cross-attention",
    ("rotary_emb",): "rotary position embedding", ("rope",): "rotary position embedding",
    ("relative_attention_bias",): "relative position bias",
    ("relative_position_bias_table",): "relative position bias", ("distance_embedding",): "relative position bias",
    ("rel_pos_h",): "relative position bias", ("rel_pos_bias",): "relative position bias",
}  # fmt: skip


def refuse(model: nn.Module) -> None:
    """Raise ValueError for a model with such a part, one line, every kind with its first path."""
    found: dict[str, str] = {}
    for path, module, what in refused(model):
        found.setdefault(what, f"{path or 'the model'} ({type(module).__name__}) uses {what}")
    if found:
        raise ValueError(
            f"convert: {'; '.join(found.values())}. This has no spiking form here. Use a model with learned absolute "
            "positions, self-attention, LayerNorm and a plain MLP, such as BERT, ViT or GPT-2."
        )


def refused(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """(path, module, what it is), in the order of the tree."""
    config = getattr(model, "config", None)
    if getattr(config, "alibi", False):
        yield "", model, "ALiBi position bias"
    for path, module in model.named_modules():
        names = {*dict(module.named_children()), *dict(module.named_parameters(recurse=False))}
        for needed, what in CHILDREN.items():
            if names.issuperset(needed):
                yield path, module, what
        for part, what in CLASSES.items():
            if part in type(module).__name__:
                yield path, module, what
