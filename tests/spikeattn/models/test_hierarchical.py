"""Configurations of several stages, the published sizes, and the defect of QKFormer's code as an option."""

import json

import pytest
import torch

from spikeattn import create_model, list_models
from spikeattn.attention import BipolarSelfAttention, Identity, SpikingSelfAttention, TokenQKAttention
from spikeattn.models import MODELS

NAMES = [*list_models("*qkformer*"), *list_models("maxformer*")]


@pytest.mark.parametrize("name", NAMES)
def test_attention_goes_to_the_last_stage_only(name):
    with torch.device("meta"):
        model = create_model(name, attention="bsa")
    *early, last = model.stages
    assert all(isinstance(block.attn, BipolarSelfAttention) for block in last.blocks)
    assert not any(isinstance(block.attn, BipolarSelfAttention) for stage in early for block in stage.blocks)


@pytest.mark.parametrize("name", NAMES)
def test_resizing_keeps_the_stages_together(name):
    config = MODELS[name].config
    wider = config.resized(dim=2 * config.dim, depth=config.depth + 1)
    assert [plan.width for plan in wider.embeddings] == [2 * plan.width for plan in config.embeddings]
    assert wider.depths == (*config.depths[:-1], config.depths[-1] + 1)
    assert config.resized(depths=(2,) * len(config.depths)).depth == 2 * len(config.depths)
    assert set(config.resized(heads=1).mixer_heads) == {1}
    assert type(config).from_dict(json.loads(json.dumps(wider.to_dict()))) == wider


@pytest.mark.parametrize("changes", [{"depths": (1,)}, {"mixers": ("dwc", "dwc", "dwc")}, {"mixer_heads": (1, 2, 3)},
                                     {"depths": (1, 0)}])
def test_one_value_for_each_stage(changes):
    with pytest.raises(ValueError, match="2 embeddings must come with 2 depths of at least 1 and 1 mixers"):
        create_model("maxformer_tiny", **changes)


def test_mixers_can_be_exchanged():
    model = create_model("maxformer_tiny", mixers=("identity",), attention=("ssa", "identity"), depths=(1, 2))
    kinds = [type(block.attn) for stage in model.stages for block in stage.blocks]
    assert kinds == [Identity, SpikingSelfAttention, Identity]
    assert isinstance(create_model("qkformer_tiny").stages[0].blocks[0].attn, TokenQKAttention)


@torch.no_grad()
def test_the_published_defect_is_off_and_can_be_turned_on():
    torch.manual_seed(0)
    sound = create_model("qkformer_tiny").eval()
    assert not sound.config.time_batch_merged
    faulty = create_model("qkformer_tiny", time_batch_merged=True).eval()
    faulty.load_state_dict(sound.state_dict())
    x = torch.randn(4, 6, 1, 8, 8)
    assert torch.allclose(sound(x)[:1], sound(x[:, :1]), atol=1e-6)
    assert torch.allclose(faulty(x[:, :1]), sound(x[:, :1]), atol=1e-6)
    assert (faulty(x)[1:] - faulty(x.flip(1)).flip(0)[1:]).abs().max() > 1e-4  # who comes before matters
    begun, state = faulty.stream(x[:2])
    again, _ = faulty.stream(x[2:], state)
    assert torch.allclose(torch.cat([begun, again]).mean(0), faulty(x), atol=1e-6)


def test_three_channels_and_other_pictures():
    for name in ("qkformer_tiny", "maxformer_tiny"):
        model = create_model(name, in_channels=3, image_size=(12, 8))
        assert model(torch.rand(2, 3, 12, 8)).shape == (2, 10)
