"""Every family that an adapter reads, built small and converted: bits, stream, disk, purity; errors fall with T."""

from functools import cache

import pytest
import torch
from torch import nn

import spikeattn
from neuromorphic.convert import convert
from neuromorphic.convert.adapters import ADAPTERS, adapt
from neuromorphic.convert.adapters.sentence import SentenceEncoder
from spikeattn.converted import Attention

TEXT = {"vocab_size": 40, "num_labels": 3}
BERT = TEXT | {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
               "max_position_embeddings": 20}  # fmt: skip
DISTIL = TEXT | {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 20}
GPT2 = TEXT | {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 20, "bos_token_id": 0, "eos_token_id": 0}
VIT = {"image_size": 8, "patch_size": 4, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
       "intermediate_size": 32, "num_labels": 5}  # fmt: skip
TIMM = {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2, "num_classes": 5}
EXACT = {"normaliser": "exact", "norm": "exact", "activation": "exact", "weights": "float"}
STAGES = 5  # coding layers in series in a transformer block


def shaken(model: nn.Module, by: float = 0.2) -> nn.Module:
    """Every weight moved, so that no bias is 0, no gain 1 and no norm without effect."""
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * by)
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2.0)
    return model.eval()


def transformers(name: str, options: dict) -> nn.Module:
    package = pytest.importorskip("transformers")
    config = name.split("Model")[0].split("For")[0].removesuffix("LMHead")
    return shaken(getattr(package, name)(getattr(package, f"{config}Config")(**options)))


def encoder(norm_first: bool, act: str) -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 2, 32, activation=act, norm_first=norm_first, batch_first=True)
    return shaken(nn.TransformerEncoder(layer, 1, nn.LayerNorm(16) if norm_first else None, enable_nested_tensor=False))


def cat(variant: str) -> nn.Module:
    part = spikeattn.models.config.Part("cat", {"variant": variant})
    return shaken(spikeattn.create_model("cat_tiny", attention=part), by=0.05)


def convolutions() -> nn.Module:
    return shaken(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                                nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                nn.Linear(8, 4)))  # fmt: skip


def features() -> nn.Module:
    return shaken(nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 16), nn.Sigmoid(),
                                nn.Linear(16, 4)))  # fmt: skip


def text(n: int = 40) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    lengths = torch.randint(2, 10, (n, 1), generator=random)
    lengths[0] = 9
    mask = (torch.arange(9) < lengths).long()
    return {"input_ids": torch.where(mask == 1, torch.randint(3, 40, (n, 9), generator=random), 1),
            "attention_mask": mask}  # fmt: skip


def pictures(channels: int = 3, n: int = 40) -> dict[str, torch.Tensor]:
    return {"pixels": torch.rand(n, channels, 8, 8, generator=torch.Generator().manual_seed(2))}


def grey() -> dict[str, torch.Tensor]:
    return pictures(1)


def tokens() -> dict[str, torch.Tensor]:
    return {"tokens": torch.randn(40, 9, 16, generator=torch.Generator().manual_seed(3)),
            "attention_mask": text()["attention_mask"]}  # fmt: skip


def plain() -> dict[str, torch.Tensor]:
    return {"tokens": tokens()["tokens"]}


def timm_vit(**options) -> nn.Module:
    import timm

    return shaken(timm.models.vision_transformer.VisionTransformer(**TIMM | options))


OF_TRANSFORMERS = {
    "BertModel": (BERT, text), "BertForSequenceClassification": (BERT, text), "RobertaModel": (BERT, text),
    "RobertaForSequenceClassification": (BERT, text), "DistilBertModel": (DISTIL, text),
    "DistilBertForSequenceClassification": (DISTIL, text), "GPT2Model": (GPT2, text), "GPT2LMHeadModel": (GPT2, text),
    "ViTModel": (VIT, pictures), "ViTForImageClassification": (VIT, pictures), "DeiTModel": (VIT, pictures),
    "DeiTForImageClassification": (VIT, pictures), "DeiTForImageClassificationWithTeacher": (VIT, pictures),
}  # fmt: skip
FAMILIES = {  # name: (build, data, coding layers in series)
    **{name: (lambda name=name, options=options: transformers(name, options), data,
              STAGES + name.startswith(("BertFor", "RobertaFor", "DistilBertFor")))  # the pooler is coded, too
       for name, (options, data) in OF_TRANSFORMERS.items()},
    "sentence, mean": (lambda: SentenceEncoder(transformers("BertModel", BERT), "mean", True), text, STAGES),
    "sentence, first token": (lambda: SentenceEncoder(transformers("BertModel", BERT), "cls", False), text, STAGES),
    **{f"nn.TransformerEncoder, {'pre' if first else 'post'}-norm, {act}": (
        lambda first=first, act=act: encoder(first, act), tokens, STAGES)
       for first in (True, False) for act in ("relu", "gelu")},
    "nn.TransformerEncoder without mask": (lambda: encoder(True, "gelu"), plain, STAGES),
    "nn.MultiheadAttention": (lambda: shaken(nn.MultiheadAttention(16, 2, batch_first=True)), tokens, 3),
    "vit": (lambda: shaken(spikeattn.create_model("vit_tiny"), by=0.05), grey, STAGES + 1),
    "cat, qv": (lambda: cat("qv"), grey, 5), "cat, qkv": (lambda: cat("qkv"), grey, 5),
    "chain of convolutions": (convolutions, pictures, 1), "chain on features": (features, plain, 2),
}  # fmt: skip
EXPORTED = ("ViTForImageClassification", "GPT2LMHeadModel", "sentence, mean")  # each stem once, in every run
TIMM_FORMS = {
    "class token": {}, "mean": {"global_pool": "avg", "init_values": 0.1},
    "registers": {"reg_tokens": 2, "pre_norm": True}, "all tokens": {"global_pool": "", "class_token": False},
}  # fmt: skip


@cache
def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    return FAMILIES[name][0]()


@cache
def converted(name: str, timesteps: int = 3, **settings):
    return convert(built(name), [FAMILIES[name][1]()], timesteps=timesteps, **settings)


def real(x: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Without what stands at padding."""
    mask = inputs.get("attention_mask")
    return x[mask != 0] if mask is not None and x.ndim == 3 else x


def some(inputs: dict[str, torch.Tensor], n: int = 4) -> dict[str, torch.Tensor]:
    return {name: value[:n] for name, value in inputs.items()}


def error(snn, model, inputs) -> float:
    """Of the converted network, relative to what the source gives."""
    got, wanted = (real(x, inputs) for x in (snn.codes(inputs), adapt(model).call(inputs)))
    return float((got - wanted).norm() / wanted.norm())


def check(snn, report, inputs: dict[str, torch.Tensor]) -> None:
    """Spikes are code words, a batch is its samples, and all of it is free of floating point in between."""
    spikes = snn(inputs)
    assert torch.equal(spikes, snn.codes(inputs))
    for n in (1, 3):
        assert torch.equal(real(snn(some(inputs, n)), some(inputs, n)), real(spikes[:n], some(inputs, n)))
    assert report.purity.float_free == 1.0 and report.purity.label.startswith("spike-driven")
    assert all(site.max_error <= site.bound for site in report.layers)


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_spikes_are_code_words_and_free_of_floating_point(name):
    snn, report = converted(name)
    if name.startswith("cat"):
        assert report.purity.label == "hybrid" and report.purity.float_free < 1
        assert report.purity.offenders == ("floating point: blocks.0.attn.mix",)
        assert torch.equal(snn(grey()), snn.codes(grey()))
    else:
        check(snn, report, FAMILIES[name][1]())
    assert report.stages == FAMILIES[name][2] and report.latency_steps == 3 * report.stages


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_the_error_falls_with_the_steps(name):
    """The code's error, with every function exact; with all of them in integers, Shiftmax sets the floor."""
    inputs = FAMILIES[name][1]()
    errors = [error(converted(name, T, **EXACT)[0], built(name), inputs) for T in (2, 3, 5)]
    assert errors == sorted(errors, reverse=True) and errors[0] > 5 * errors[-1] and errors[-1] < 0.05
    assert error(converted(name)[0], built(name), inputs) < 0.3


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_the_stream_is_ready_at_its_latency(name):
    snn, report = converted(name)
    inputs = some(FAMILIES[name][1]())
    state = None
    for tick in range(1, report.latency_steps + 1):
        out, state = snn.stream(inputs, state)
        assert bool(state.ready) == (tick == report.latency_steps)
    assert torch.equal(out[0], snn(inputs))


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_it_comes_back_from_disk(name, tmp_path):
    snn, _ = converted(name)
    snn.save_pretrained(tmp_path / "snn")
    inputs = some(FAMILIES[name][1]())
    assert torch.equal(spikeattn.from_pretrained(tmp_path / "snn")(inputs), snn(inputs))


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in EXPORTED else pytest.mark.slow) for name in FAMILIES])
@torch.no_grad()
def test_it_exports_with_any_batch(name):
    snn, _ = converted(name, 1)
    inputs = FAMILIES[name][1]()
    dynamic = {"x": {key: {0: torch.export.Dim("batch", min=1, max=64)} for key in inputs}}
    program = torch.export.export(snn, (some(inputs, 3),), dynamic_shapes=dynamic).module()
    for n in (1, 4):
        assert torch.equal(program(some(inputs, n)), snn(some(inputs, n)))


@pytest.mark.parametrize("form", TIMM_FORMS)
@torch.no_grad()
def test_timm(timm, form):
    model = timm_vit(**TIMM_FORMS[form])
    snn, report = convert(model, [pictures()], timesteps=2)
    check(snn, report, pictures())
    finer, _ = convert(model, [pictures()], timesteps=5)
    assert error(snn, model, pictures()) > 2 * error(finer, model, pictures())


def test_every_registered_family_is_converted():
    assert set(ADAPTERS["transformers"]) == set(OF_TRANSFORMERS)


@torch.no_grad()
def test_causal_outputs_do_not_look_ahead():
    snn, _ = converted("GPT2LMHeadModel")
    ids = text()["input_ids"][:1]
    later = ids.clone()
    later[0, 5] = (later[0, 5] + 1) % 40
    changed = (snn({"input_ids": ids}) != snn({"input_ids": later})).any(-1)[0]
    assert not changed[:5].any() and changed[5:].all()


@torch.no_grad()
def test_a_tied_head_is_a_read_out_of_its_own():
    snn, report = converted("GPT2LMHeadModel")
    assert report.purity.readout == ("lm_head",) and report.purity.stem == ("transformer.embeddings",)
    assert snn(some(text())).shape == (4, 9, 40)


@torch.no_grad()
def test_attention_holds_as_many_keys_as_the_model_takes():
    places = {name: next(layer.fraction for layer in converted(name)[0].modules() if isinstance(layer, Attention))
              for name in ("BertModel", "ViTModel", "nn.MultiheadAttention")}  # fmt: skip
    assert places == {"BertModel": 5, "ViTModel": 3, "nn.MultiheadAttention": 16}  # 20, 5 and any number of tokens
    wide = transformers("BertModel", BERT | {"max_position_embeddings": 1100})
    snn, _ = convert(wide, [text()], timesteps=1)
    ids = torch.randint(3, 40, (1, 1100))
    assert torch.equal(snn(input_ids=ids), snn.codes(input_ids=ids))
    with pytest.raises(ValueError, match="at most 1100 tokens, got one of 1101"):
        snn(input_ids=torch.full((1, 1101), 5))


@torch.no_grad()
def test_a_branch_that_adds_nothing_does_not_refine_the_sum():
    model = encoder(True, "gelu")
    for value in (*model.layers[0].self_attn.out_proj.parameters(), *model.layers[0].linear2.parameters()):
        value.mul_(1e-9) if value.ndim == 1 else value.zero_()
    snn, report = convert(model, [tokens()], timesteps=4)
    check(snn, report, tokens())
    assert error(snn, model, tokens()) < 0.02
