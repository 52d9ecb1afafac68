"""Spike-driven Transformer and STAtten: modes of the public classes that no golden file has, and what is refused."""

import pytest
import torch

from spikeattn import create_model
from spikeattn.interop.published import SOURCES, dropped, export_state_dict, key_map, load, modules, origin_of
from spikeattn.interop.published.engine import Origin
from spikeattn.neurons import LIF, PLIF, Neuron

SDT = "BICLab/Spike-Driven-Transformer:model/spikeformer.py"
STATTEN = "Intelligent-Computing-Lab-Yale/STAtten:model/spikeformer.py"
JELLY = "fangwei123456/spikingjelly:spikingjelly/activation_based/model/spike_driven_transformer.py"
SIZES = dict(num_classes=5, embed_dims=16, num_heads=2, depths=2, pooling_stat="0011", T=4)
SMALL = dict(img_size_h=16, img_size_w=16, patch_size=4, in_channels=3, mlp_ratios=2, **SIZES)
CONFIGS = {
    "sdt": (SDT, SMALL),
    "sdt-plif": (SDT, SMALL | {"spike_mode": "plif"}),
    "sdt-events": (SDT, SMALL | {"dvs_mode": True, "in_channels": 2, "pooling_stat": "0111", "patch_size": 8}),
    "sdt-ratio-1": (SDT, SMALL | {"mlp_ratios": 1, "TET": True}),
    "statten": (STATTEN, SMALL),
    "statten-plif": (STATTEN, SMALL | {"spike_mode": "plif", "chunk_size": 4}),
    "statten-events": (STATTEN, SMALL | {"dvs_mode": True, "chunk_size": 1}),
    "statten-as-sdt": (STATTEN, SMALL | {"attention_mode": "SDT"}),
    "statten-as-sdt-events": (STATTEN, SMALL | {"attention_mode": "SDT", "dvs_mode": True}),
    "jelly": (JELLY, SIZES | {"mlp_ratio": 2.0, "backend": "torch"}),
}


def state_for(repo, config):
    """A state dict of the public class with random weights, made from a model of ours."""
    source = SOURCES[repo]
    settings = source.defaults | {key: value for key, value in config.items() if key in source.defaults}
    torch.manual_seed(0)
    model = source.model(source.configure(settings, source.neuron(settings)))
    model.origin = Origin(repo, settings)
    return export_state_dict(model)


def loaded(name):
    repo, config = CONFIGS[name]
    return load(repo, config, state_for(repo, config))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_mode_loads_names_its_neurons_and_exports_what_it_got(name):
    repo, config = CONFIGS[name]
    state, model = state_for(repo, config), loaded(name)
    exported = export_state_dict(model)
    assert exported.keys() == state.keys()
    assert all(torch.equal(exported[key], value) for key, value in state.items())
    paths = {id(layer): path for path, layer in model.named_modules()}
    named = {theirs: layer for theirs, layer in modules(model).items() if isinstance(layer, Neuron)}
    assert {paths[id(layer)] for layer in named.values()} == {
        path for path, layer in model.named_modules() if isinstance(layer, Neuron)
    }
    kind = PLIF if config.get("spike_mode") == "plif" else LIF
    gate = "talking_heads_lif" if repo == SDT or "attention_mode" in config else "attn_lif"
    for theirs, layer in named.items():
        assert type(layer) is kind
        assert layer.threshold == (0.5 if theirs.endswith(gate) else 1.0)
    assert sorted(key for _, key, _ in key_map(model)) == sorted(model.state_dict())


@pytest.mark.parametrize("name", CONFIGS)
def test_an_equal_model_of_ours_is_recognised(name):
    repo, _ = CONFIGS[name]
    model = loaded(name)
    twin = type(model)(type(model.config).from_dict(model.config.to_dict()))
    assert origin_of(twin).repo == repo
    assert export_state_dict(twin).keys() == export_state_dict(model).keys()


def test_created_models_know_their_public_class():
    assert origin_of(create_model("sdt_dvs_2_256", dim=16, heads=2)).settings["dvs_mode"] is True
    assert origin_of(create_model("sdt_cifar_2_256", dim=16, heads=2, neuron="plif")).settings["spike_mode"] == "plif"
    settings = origin_of(create_model("statten_dvs_2_256", dim=16, heads=2)).settings
    assert (settings["chunk_size"], settings["dvs_mode"], settings["attention_mode"]) == (4, True, "STAtten")
    with pytest.raises(ValueError, match="must have the architecture of a published class"):
        origin_of(create_model("sdt_cifar_2_256", dim=16, heads=2, attention="bsa"))


def test_unused_parts_are_dropped_with_a_reason():
    reasons = dict(dropped(loaded("sdt-plif")))
    assert set(reasons) == {"patch_embed.rpe_lif.w", *(f"block.{i}.attn.{part}" for i in range(2)
                                                       for part in ("talking_heads.weight", "attn_lif.w"))}
    assert "no forward pass uses" in reasons["block.0.attn.talking_heads.weight"]
    assert "block.1.attn.talking_heads_lif.w" in dict(dropped(loaded("statten-plif")))
    assert dropped(loaded("jelly")) == []


@torch.no_grad()
def test_statten_code_in_its_other_mode_is_the_spike_driven_transformer():
    state = state_for(SDT, SMALL)
    one, other = load(SDT, SMALL, state), load(STATTEN, SMALL | {"attention_mode": "SDT"}, state)
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(one(x), other(x))
    assert other.stream_chunk == 1
    assert load(STATTEN, SMALL | {"attention_mode": "SDT", "dvs_mode": True}, state).blocks[0].attn.erode == "qkv"


@torch.no_grad()
def test_the_steps_read_out_and_the_two_shortcuts_of_ratio_1():
    model = loaded("sdt-ratio-1")
    assert model(torch.randn(2, 3, 16, 16)).shape == (4, 2, 5)
    block, x = model.blocks[0], torch.randn(4, 2, 16, 16)
    stream, state = block(x)
    spikes, _ = block.attn_neuron(x)
    x = x + block.attn(spikes)[0]
    x = x + block.mlp.fc1(block.mlp_neuron(x)[0])
    x = x + block.mlp.fc2(block.mlp.neuron(x)[0])
    assert torch.equal(stream, x)


@torch.no_grad()
def test_a_bias_before_a_norm_is_a_parameter():
    model = loaded("jelly")
    assert model.stem.convs[0].conv.bias is not None and model.stem.position.conv.bias is None
    x = torch.randn(2, 3, 16, 16)
    before = model.stem(x.expand(1, *x.shape))[0]
    model.stem.convs[0].conv.bias += 1
    assert not torch.equal(before, model.stem(x.expand(1, *x.shape))[0])


@pytest.mark.parametrize(("repo", "changes", "words"), [
    (SDT, {"pooling_stat": "011"}, "pooling_stat must be four bits, got '011'"),
    (SDT, {"spike_mode": "alif"}, "spike_mode must be one of"),
    (SDT, {"chunk_size": 2}, r"got unknown \['chunk_size'\]"),
    (STATTEN, {"attention_mode": "T_STAtten"}, "attention_mode must be one of"),
])
def test_unknown_modes_are_refused(repo, changes, words):
    with pytest.raises(ValueError, match=words):
        load(repo, SMALL | changes, {})


def test_one_model_has_one_kind_of_neuron():
    overrides = {"head_lif": {"type": "MultiStepParametricLIFNode"}}
    neuron = {"default": {"type": "MultiStepLIFNode"}, "overrides": overrides}
    with pytest.raises(ValueError, match="all neurons must be of the default's type.*head_neuron"):
        load(SDT, SMALL | {"neuron": neuron}, {})


def test_settings_of_learned_decays_are_read():
    default = {"type": "MultiStepParametricLIFNode", "tau": "learned: 1/sigmoid(w)", "v_threshold": 0.8}
    overrides = {"block.0.attn.talking_heads_lif": {"v_threshold": 0.5, "w": 0.3}, "head_lif": {"v_threshold": 0.7}}
    config = SMALL | {"spike_mode": "plif", "neuron": {"default": default, "overrides": overrides}}
    model = load(SDT, config, state_for(SDT, SMALL | {"spike_mode": "plif"}))
    assert [model.blocks[i].attn.attn_neuron.threshold for i in range(2)] == [0.5, 0.8]
    assert (model.head_neuron.threshold, model.stem.neurons[0].threshold) == (0.7, 0.8)
