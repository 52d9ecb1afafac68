"""SpikingResformer, Meta-SpikeFormer, E-SpikeFormer: sizes that follow each other, hosts, read-outs, large models."""

import pytest
import torch

from spikeattn import create_model
from spikeattn.attention import PointRepProjection, RepProjection
from spikeattn.models import ESpikformerConfig, MetaSpikformerConfig, SpikingResformerConfig
from spikeattn.models.metaformer import five_stages
from spikeattn.models.spikingresformer import spikingresformer
from spikeattn.neurons import ILIF, PLIF, SignedILIF


def count(name, **options):
    with torch.device("meta"):
        return sum(p.numel() for p in create_model(name, **options).parameters())


@pytest.mark.parametrize(("name", "parameters"), [
    ("metaspikformer_8_384", 31_814_864), ("metaspikformer_8_512", 55_991_248), ("metaspikformer_8_768", 124_702_160),
    ("espikformer_12_512", 83_015_952), ("espikformer_12_768", 171_740_714),
])
def test_distilled_models_have_one_more_read_out(name, parameters):
    assert count(name, distilled=True) == parameters
    with torch.device("meta"):
        head = create_model(name).head
    assert count(name) == parameters - head.weight.numel() - head.bias.numel()


@pytest.mark.parametrize("name", ["metaspikformer_8_256", "espikformer_s", "espikformer_12_512"])
@pytest.mark.parametrize("attention", ["bsa", "ssa", "tmp_softmax"])
def test_another_mechanism_keeps_the_projections_and_the_count(name, attention):
    assert count(name, attention=attention) == count(name)


def test_neurons_and_projections_of_another_mechanism():
    model = create_model("espikformer_tiny", attention="bsa")
    block = model.stages[1].blocks[0]
    assert isinstance(block.attn.q_neuron, SignedILIF) and not block.attn.q_neuron.normalise
    assert not block.attn_neuron.normalise and block.mlp_neuron.normalise
    assert block.attn.attn_neuron.threshold == 1.0
    assert block.attn.v.linear.out_features == 4 * model.config.dim
    own = create_model("espikformer_tiny").stages[1].blocks[0]
    assert own.attn_neuron.normalise and own.attn.q_neuron.normalise
    assert isinstance(create_model("metaspikformer_tiny", attention="bsa").stages[1].blocks[0].attn.q, RepProjection)
    large = create_model("espikformer_large_tiny", attention="bsa").stages[1].blocks[0]
    assert isinstance(large.attn.layer.q, PointRepProjection)


def test_the_read_out_sees_whole_levels():
    model = create_model("espikformer_tiny").eval()
    assert isinstance(model.head_neuron, ILIF) and not model.head_neuron.normalise
    seen = []
    model.head.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    with torch.no_grad():
        model(torch.randn(2, 1, 16, 16))
    assert torch.equal(seen[0], seen[0].round()) and seen[0].max() >= 1


@torch.no_grad()
@pytest.mark.parametrize("name", ["metaspikformer_tiny", "espikformer_large_tiny"])
def test_a_distilled_model_averages_its_read_outs(name):
    model = create_model(name, distilled=True).eval()
    x = torch.randn(2, 1, 16, 16)
    first, second = model.distilled_logits(x)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(model(x), ((first + second) / 2).mean(0))
    model.reset_classifier(3)
    assert model(x).shape == (2, 3) and model.head_distilled.out_features == 3
    with pytest.raises(ValueError, match="must have distilled=True"):
        create_model(name).distilled_logits(x)


def test_sizes_follow_each_other():
    half = create_model("spikingresformer_tiny", dim=16, heads=1)
    assert half.config.widths == (8, 16) and half.config.stage_heads == (1, 1)
    assert create_model("spikingresformer_tiny", layers=(("ffn",), ("attention",))).config.depth == 2
    deeper = create_model("metaspikformer_tiny", depth=3)
    assert deeper.config.depths == (1, 3) and len(deeper.stages[1].blocks) == 3
    assert create_model("espikformer_tiny", depths=(2, 2)).config.depth == 2
    assert create_model("espikformer_tiny", widths=(8, 16)).config.dim == 16


def test_attention_and_neuron_schedules():
    model = create_model("spikingresformer_tiny", attention=("dssa", "bsa"), neuron="plif")
    attentions = [stage.blocks[0].attn for stage in model.stages]
    assert [type(attention).__name__ for attention in attentions] == ["DualSpikeSelfAttention", "BipolarSelfAttention"]
    assert isinstance(attentions[0].attn_neuron, PLIF)
    assert attentions[0].keys == 4 and attentions[0].patch == 4


def test_logits_of_each_step_and_no_bias():
    model = create_model("spikingresformer_tiny", timesteps=3).eval()
    assert model.head.bias is None and model.config.readout == "steps"
    assert model(torch.randn(2, 1, 8, 8)).shape == (3, 2, 10)
    assert create_model("spikingresformer_tiny", readout="mean")(torch.randn(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(("build", "words"), [
    (lambda: spikingresformer((8, 16), (1,)), "one entry for each stage"),
    (lambda: spikingresformer((8, 16), (1, 2), layers=(("dssa",), ("ffn",)), depth=2), "layers must be among"),
    (lambda: spikingresformer((8, 16), (1, 2), depth=1), "depth and heads must be those of layers"),
    (lambda: spikingresformer((8, 16), (1, 2), dim=8), "widths must be positive and end with dim=8"),
    (lambda: create_model("spikingresformer_tiny", group_size=48), "group_size must divide the 64 hidden channels"),
    (lambda: MetaSpikformerConfig(**five_stages((8, 16, 24, 32)) | {"strides": (2,)}, heads=4), "4 strides"),
    (lambda: ESpikformerConfig(**five_stages((8, 16, 24, 32)) | {"depth": 3}, heads=4), "depth must count"),
    (lambda: create_model("metaspikformer_tiny")(torch.randn(1, 3, 16, 16)), r"pictures must be \(T, B, 1, Y, X\)"),
])
def test_bad_sizes_are_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_configurations_survive_plain_data():
    for name in ("spikingresformer_dvs_gesture", "espikformer_12_512", "metaspikformer_8_256"):
        with torch.device("meta"):
            config = create_model(name).config
        assert type(config).from_dict(config.to_dict()) == config
    assert SpikingResformerConfig.from_dict(create_model("spikingresformer_tiny").config.to_dict()).patches == (4, 2)
