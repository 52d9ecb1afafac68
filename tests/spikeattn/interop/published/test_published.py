"""What the loader of published checkpoints refuses, records and gives back (numbers: tests/parity)."""

import copy
import pickle

import pytest
import torch

from spikeattn import create_model
from spikeattn.interop.published import SOURCES, dropped, export_state_dict, key_map, load, modules, origin_of
from spikeattn.neurons import Neuron

IMAGENET, CIFAR = "ZK-Zhou/spikformer:imagenet/model.py", "ZK-Zhou/spikformer:cifar10/model.py"
SMALL = dict(img_size_h=32, img_size_w=32, patch_size=4, num_classes=5, embed_dims=16, num_heads=2, mlp_ratios=2,
             depths=2)


def config(repo, **changes):
    events = SOURCES[repo].fixed
    return SMALL | ({"patch_size": 16} | events if events else {}) | changes


def state_for(repo):
    """A state dict of the public class with random weights, made from a model of ours."""
    source = SOURCES[repo]
    settings = source.defaults | config(repo)
    torch.manual_seed(0)
    model = source.model(source.configure(settings, source.neuron(settings)))
    origin = origin_of(model)
    model.origin = type(origin)(repo, settings)
    return export_state_dict(model)


def neurons(model):
    return {name: layer.options() for name, layer in modules(model).items() if isinstance(layer, Neuron)}


@pytest.mark.parametrize("repo", [
    repo for repo in SOURCES if repo.startswith(("ZK-Zhou/", "zhouchenlin2096/Spikingformer"))
])
def test_every_source_loads_names_its_neurons_and_exports_what_it_got(repo):
    state = state_for(repo)
    model = load(repo, config(repo), state)
    assert not model.training
    exported = export_state_dict(model)
    assert exported.keys() == state.keys()
    assert all(torch.equal(exported[key], value) for key, value in state.items())
    ours = {name for name, layer in model.named_modules() if isinstance(layer, Neuron)}
    paths = {id(layer): name for name, layer in model.named_modules()}
    assert {paths[id(layer)] for name, layer in modules(model).items() if "_lif" in name} == ours
    events = "dvs" in repo
    tau = 1.5 if events and "Spikingformer" in repo else 2.0
    for name, options in neurons(model).items():
        assert options["threshold"] == (0.5 if name.endswith("attn_lif") else 1.0)
        assert options["beta"] == pytest.approx(1 - 1 / tau) and options["gain"] == pytest.approx(1 / tau)
    assert model.blocks[0].attn.scale == (0.25 if repo.endswith("cifar10dvs/model.py") else 0.125)


def test_neuron_settings_are_read_and_recorded_in_the_config():
    state = state_for(CIFAR)
    default = {"type": "MultiStepLIFNode", "tau": 4.0, "decay_input": False, "v_threshold": 0.8, "v_reset": None,
               "detach_reset": False, "surrogate": "ATan(alpha=3.0, spiking=True)", "w": 0.1}
    overrides = {"block.1.attn.attn_lif": {"v_threshold": 0.25}, "patch_embed.rpe_lif": {"tau": 2.0, "v_reset": 0.0},
                 "patch_embed.proj_lif2": {"v_threshold": 1.5}}
    model = load(CIFAR, config(CIFAR, neuron={"default": default, "overrides": overrides}), state)
    options = neurons(model)
    common = {"beta": 0.75, "gain": 1.0, "threshold": 0.8, "reset": "soft", "detach_reset": False,
              "surrogate": {"name": "atan", "alpha": 3.0}}
    assert options["block.0.mlp.fc1_lif"] == options["block.0.attn.attn_lif"] == common
    assert options["block.1.attn.attn_lif"] == common | {"threshold": 0.25}
    assert options["patch_embed.rpe_lif"] == common | {"beta": 0.5, "reset": "hard"}
    assert options["patch_embed.proj_lif2"] == common | {"threshold": 1.5}
    again = type(model)(type(model.config).from_dict(model.config.to_dict()))
    assert [m.options() for m in again.modules() if isinstance(m, Neuron)] == [
        m.options() for m in model.modules() if isinstance(m, Neuron)
    ]


def test_time_steps_come_from_the_config_or_the_frames():
    state = state_for(CIFAR)
    assert load(CIFAR, config(CIFAR), state).config.timesteps == 4
    assert load(CIFAR, config(CIFAR, T=2), state).config.timesteps == 2
    repo = "ZK-Zhou/spikformer:cifar10dvs/model.py"
    events = load(repo, config(repo, in_channels=2), state_for(repo))
    assert events.stream(torch.rand(3, 1, 2, 128, 128))[0].shape == (3, 1, 5)


def test_what_never_changes_a_number_is_ignored():
    extra = dict(sr_ratios=1, qkv_bias=False, qk_scale=None, drop_rate=0.1, norm_layer=None)
    assert load(CIFAR, config(CIFAR, **extra, **{"class": "spikformer()"}), state_for(CIFAR)).config.depth == 2


def test_the_dtype_of_the_weights_is_kept():
    state = {key: value.double() if value.is_floating_point() else value for key, value in state_for(CIFAR).items()}
    assert load(CIFAR, config(CIFAR), state).head.weight.dtype == torch.float64


def test_loading_leaves_the_random_state_alone():
    state = state_for(CIFAR)
    before = torch.get_rng_state()
    load(CIFAR, config(CIFAR), state)
    assert torch.equal(before, torch.get_rng_state())


def test_a_loaded_model_can_be_copied_and_pickled():
    model = load(CIFAR, config(CIFAR), state_for(CIFAR))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert export_state_dict(twin).keys() == export_state_dict(model).keys()


def test_models_of_ours_with_a_published_architecture_export_too():
    created = create_model("spikformer_cifar_2_384", dim=16, heads=2, num_classes=5, mlp_ratio=2.0, depth=2).eval()
    assert origin_of(created).repo == CIFAR
    loaded = load(CIFAR, config(CIFAR), export_state_dict(created))
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(x), created(x))
    assert [reason for _, reason in dropped(created)] == ["LayerNorm that no forward pass uses"] * 8
    with pytest.raises(ValueError, match="must have the architecture of a published class, got Spikformer"):
        key_map(create_model("spikformer_tiny"))
    with pytest.raises(ValueError, match="attention must be the published one"):
        export_state_dict(create_model("spikformer_cifar_2_384", dim=16, heads=2, attention="bsa"))


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda s: s.pop("head.bias"), r"1 misfits.*\n  missing +head.bias +\(5,\) expected"),
    (lambda s: s.update(extra=torch.zeros(2)), r"unexpected +extra +\(2,\)"),
    (lambda s: s.update({"head.weight": torch.zeros(10, 16)}), r"wrong shape +head.weight +\(10, 16\), \(5, 16\)"),
    (lambda s: s.update({"block.0.norm1.weight": torch.zeros(4)}), r"wrong shape +block.0.norm1.weight"),
    (lambda s: s.update({"head.weight": "text"}), r"not a tensor +head.weight +str"),
    (lambda s: [s.pop(key) for key in list(s)[20:]], r"missing +\.\.\. and \d+ more"),
])
def test_a_state_dict_that_does_not_fit_is_refused_with_a_table(spoil, words):
    state = state_for(CIFAR)
    spoil(state)
    with pytest.raises(ValueError, match=words) as error:
        load(CIFAR, config(CIFAR), state)
    assert "nothing was loaded" in str(error.value)


def test_a_checkpoint_of_another_repository_is_refused():
    with pytest.raises(ValueError, match=r"unexpected +patch_embed.block0_conv.weight"):
        load(CIFAR, config(CIFAR), state_for("zhouchenlin2096/Spikingformer:cifar10/model.py"))


@pytest.mark.parametrize(("changes", "words"), [
    ({"embed_dim": 16}, r"got unknown \['embed_dim'\]. Did you mean \['embed_dims'\]"),
    ({"class": "vit_snn"}, r"class must be one of \['Spikformer', 'spikformer'\]"),
    ({"neuron": {"default": {"leak": 1}}}, r"neuron record may have the fields .* got \['leak'\]"),
    ({"neuron": {"default": {"type": "IFNode"}}}, "neuron type must be one of"),
    ({"neuron": {"default": {"v_reset": -0.5}}}, "v_reset must be 0.0 .* or None"),
    ({"neuron": {"default": {"surrogate": "Erf(alpha=1.0)"}}}, "surrogate must be one of"),
    ({"neuron": {"overrides": {"block.7.attn.q_lif": {}}}}, r"got unknown \['block.7.attn.q_lif'\]"),
    ({"neuron": {"settings": {}}}, r"got unknown \['settings'\]"),
])
def test_a_config_that_is_not_understood_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        load(CIFAR, config(CIFAR, **changes), {})


def test_sizes_that_the_public_class_lacks_or_fixes():
    with pytest.raises(ValueError, match=r"must give \['depths'\]"):
        load(CIFAR, {key: value for key, value in SMALL.items() if key != "depths"}, {})
    repo = "zhouchenlin2096/Spikingformer:cifar10-dvs/model.py"
    with pytest.raises(ValueError, match="img_size_h must be 128 .* got 64"):
        load(repo, config(repo, img_size_h=64), {})
    with pytest.raises(ValueError, match="repo must be a known model file.*Did you mean ZK-Zhou/spikformer:cifar10"):
        load("ZK-Zhou/spikformer:cifar100/model.py", {}, {})
