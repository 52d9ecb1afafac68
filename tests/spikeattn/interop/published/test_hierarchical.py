"""The loaders of QKFormer, Max-Former and SpikingJelly 2.0: builders, the recorded defect, fused matrices, refusals."""

import pytest
import torch

from spikeattn import create_model
from spikeattn.interop.published import SOURCES, export_state_dict, key_map, load, modules, origin_of
from spikeattn.models import from_pretrained
from spikeattn.neurons import Neuron

QKFORMER, MAXFORMER = "zhouchenlin2096/QKFormer:", "bic-L/MaxFormer:"
JELLY = "fangwei123456/spikingjelly:spikingjelly/activation_based/model/"
CONFIGS = {
    f"{QKFORMER}imagenet/qkformer.py": dict(embed_dims=32, num_heads=2, mlp_ratios=2, depths=4, T=3),
    f"{QKFORMER}cifar10/model.py": dict(embed_dims=32, mlp_ratios=2, depths=3, img_size_h=16, img_size_w=16),
    f"{QKFORMER}cifar100/model.py": dict(embed_dims=32, mlp_ratios=2, depths=4, img_size_h=16, img_size_w=16),
    f"{QKFORMER}cifar10-dvs/model.py": dict(embed_dims=32, mlp_ratios=1, img_size_h=32, img_size_w=32),
    f"{QKFORMER}dvs128-gesture/model.py": dict(embed_dims=32, mlp_ratios=4, img_size_h=32, img_size_w=32),
    f"{MAXFORMER}imagenet/max_former.py": dict(embed_dims=64, mlp_ratios=1),
    f"{MAXFORMER}cifar10-100/max_former.py": dict(embed_dims=32, mlp_ratios=2),
    f"{MAXFORMER}event/max_former.py": dict(embed_dims=32, mlp_ratios=1),
    f"{MAXFORMER}imagenet/ms_qkformer.py": dict(embed_dims=64, mlp_ratios=2),
    f"{JELLY}spikformer.py": dict(embed_dims=16, num_heads=2, depths=2, img_size_h=32, img_size_w=32),
    f"{JELLY}qkformer.py": dict(embed_dims=32, num_heads=(1, 2, 4), depths=(1, 2, 1), qka_type="channel"),
    f"{JELLY}maxformer.py": dict(embed_dims=64, depths=(2, 1, 1), mlp_ratio=1.0),
}
COUNTS = {  # of SpikingJelly 2.0.0's own builders
    ("spikformer.py", "spikformer_ti"): 4_400_392,
    ("spikformer.py", "spikformer_s"): 13_244_824,
    ("spikformer.py", "spikformer_cifar10"): 9_310_906,
    ("qkformer.py", "qkformer_10_384"): 16_472_584,
    ("maxformer.py", "maxformer_10_384"): 16_236_616,
    ("maxformer.py", "maxformer_cifar"): 6_602_932,
}


def built(repo, **config):
    """A model of ours with random weights, as if it came from there."""
    source = SOURCES[repo]
    settings = source.defaults | source.builders.get(config.pop("class", None), {}) | config
    model = source.model(source.configure(settings, source.neuron(settings)))
    model.origin = type(origin_of(create_model("spikformer_cifar_2_384", dim=16, heads=2)))(repo, settings)
    return model


@pytest.mark.parametrize("repo", CONFIGS)
def test_every_source_loads_what_it_exports_and_names_its_neurons(repo):
    torch.manual_seed(0)
    state = export_state_dict(built(repo, num_classes=5, in_channels=3, **CONFIGS[repo]))
    model = load(repo, {"num_classes": 5, "in_channels": 3, **CONFIGS[repo]}, state)
    exported = export_state_dict(model)
    assert exported.keys() == state.keys()
    assert all(torch.equal(exported[key], value) for key, value in state.items())
    table = SOURCES[repo].rows(model.origin.settings)
    ours = {name for name, layer in model.named_modules() if isinstance(layer, Neuron)}
    assert {row.ours for row in table if row.neuron} == ours
    thresholds = {name: layer.threshold for name, layer in modules(model).items() if isinstance(layer, Neuron)}
    assert all(value == (0.5 if name.endswith("attn_lif") else 1.0) for name, value in thresholds.items())
    with torch.no_grad():
        assert model(torch.rand(2, 2, 3, 32, 32)).isfinite().all()


@pytest.mark.parametrize(("file", "builder"), COUNTS)
def test_sizes_of_spikingjelly(file, builder):
    with torch.device("meta"):
        model = built(JELLY + file, **{"class": builder})
    assert sum(p.numel() for p in model.parameters()) == COUNTS[file, builder]


def test_the_defect_is_recorded_and_kept_on_disk(tmp_path):
    repo = f"{QKFORMER}cifar10/model.py"
    torch.manual_seed(0)
    state = export_state_dict(built(repo, in_channels=3, **CONFIGS[repo]))
    model = load(repo, {"in_channels": 3, **CONFIGS[repo]}, state)
    assert model.config.time_batch_merged
    model.save_pretrained(tmp_path)
    x = torch.rand(3, 3, 16, 16)
    again = from_pretrained(tmp_path)
    assert again.config.time_batch_merged
    with torch.no_grad():
        assert torch.equal(again(x), model(x))
    jelly = load(f"{JELLY}qkformer.py", CONFIGS[f"{JELLY}qkformer.py"],
                 export_state_dict(built(f"{JELLY}qkformer.py", **CONFIGS[f"{JELLY}qkformer.py"])))
    assert not jelly.config.time_batch_merged


def test_a_fused_matrix_is_three_parts_of_one_tensor():
    repo = f"{JELLY}spikformer.py"
    torch.manual_seed(0)
    state = export_state_dict(built(repo, **CONFIGS[repo]))
    key = "blocks.0.attn.qkv_conv_bn.0.weight"
    assert state[key].shape == (48, 16, 1)
    model = load(repo, CONFIGS[repo], state)
    parts = [(ours, transform) for theirs, ours, transform in key_map(model) if theirs == key]
    assert [ours for ours, _ in parts] == [f"blocks.0.attn.{name}.linear.weight" for name in "qkv"]
    assert torch.equal(torch.cat([transform(state[key]) for _, transform in parts]), state[key].squeeze(-1))
    assert parts[1][1].name == "part 2 of 3, 1-wide convolution as matrix"
    with pytest.raises(ValueError, match=r"wrong shape +blocks.0.attn.qkv_conv_bn.0.weight +\(16, 16, 1\), \(48, 1"):
        load(repo, CONFIGS[repo], state | {key: state[key][:16]})


@pytest.mark.parametrize(("repo", "changes", "words"), [
    (f"{QKFORMER}cifar10/model.py", {"embed_dims": 36}, "number of heads must divide dim"),
    (f"{QKFORMER}cifar10-dvs/model.py", {"class": "Max_Former"}, r"class must be one of \['vit_snn', 'QKFormer'\]"),
    (f"{MAXFORMER}event/max_former.py", {"img_size_h": 64}, r"got unknown \['img_size_h'\]"),
    (f"{JELLY}spikformer.py", {"patch_size": 8}, "patch_size must be 4 or 16, got 8"),
    (f"{JELLY}qkformer.py", {"qka_type": "both"}, "qka_type must be 'token' or 'channel', got 'both'"),
    (f"{JELLY}qkformer.py", {"num_heads": 4}, "num_heads must have one value for each of the 3 stages, got 4"),
    (f"{JELLY}maxformer.py", {"depths": (1, 2)}, "depths must have one value for each of the 3 stages"),
])
def test_what_the_public_classes_do_not_have(repo, changes, words):
    with pytest.raises(ValueError, match=words):
        load(repo, CONFIGS[repo] | changes, {})


def test_models_of_ours_are_recognised():
    assert origin_of(create_model("qkformer_cifar_4_384", dim=32)).repo == f"{QKFORMER}cifar10/model.py"
    assert origin_of(create_model("maxformer_dvs_2_256", dim=32)).repo == f"{MAXFORMER}event/max_former.py"
    for name in ("qkformer_tiny", "maxformer_tiny"):
        with pytest.raises(ValueError, match="must have the architecture of a published class"):
            origin_of(create_model(name))
    with pytest.raises(ValueError, match="must have the architecture"):
        origin_of(create_model("maxformer_dvs_2_256", dim=32, attention="bsa"))
