"""SpikingResformer and Spike-driven Transformer V2, V3 as published: builders, single blocks, neurons, refusals."""

import pytest
import torch

from spikeattn import create_model
from spikeattn.interop.published import export_state_dict, key_map, load, modules, origin_of
from spikeattn.neurons import ILIF, LIF, PLIF

RESFORMER = "xyshi2000/SpikingResformer:models/spikingresformer.py"
V2 = "BICLab/Spike-Driven-Transformer-V2:classification/models.py"
V3 = "BICLab/Spike-Driven-Transformer-V3:SDT_V3/Classification/Model_Base/models.py"
SIZES = dict(img_size_h=32, img_size_w=32, num_classes=5, embed_dim=[8, 16, 16, 32], num_heads=2)


def small(repo, **more):
    """A model of ours with the architecture of a public class, its config there, and its state dict."""
    if repo == RESFORMER:
        config = dict(layers=[["DSSA", "GWFFN"]] * 2, planes=[8, 16], num_heads=[1, 2], patch_sizes=[2, 1],
                      img_size=32, group_size=8, num_classes=5)
        name, sizes = "spikingresformer_tiny", dict(
            widths=(8, 16), patches=(2, 1), image_size=32, in_channels=3, group_size=8, prologue="pool", num_classes=5)
    else:
        config = SIZES | more
        name = "metaspikformer_8_256" if repo == V2 else "espikformer_t"
        sizes = dict(widths=(4, 8, 16, 16, 32), heads=2, image_size=32, num_classes=5, distilled=more.get("kd", False))
    torch.manual_seed(0)
    created = create_model(name, **sizes).eval()
    return created, config, export_state_dict(created)


@torch.no_grad()
@pytest.mark.parametrize(("repo", "more"), [
    (RESFORMER, {}), (V2, {"T": 4}), (V2, {"T": 4, "kd": True}), (V3, {}), (V3, {"kd": True}),
])
def test_models_of_ours_go_there_and_back(repo, more):
    created, config, state = small(repo, **more)
    assert origin_of(created).repo == repo
    loaded = load(repo, config, state)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(x), created(x))
    exported = export_state_dict(loaded)
    assert exported.keys() == state.keys()
    assert all(torch.equal(exported[key], value) for key, value in state.items())
    assert {key for _, key, _ in key_map(loaded)} == created.state_dict().keys()


def test_time_steps_are_one_where_the_code_says_so():
    for repo in (V2, V3):
        _, config, state = small(repo)
        assert load(repo, config, state).config.timesteps == 1
    _, config, state = small(RESFORMER)
    assert load(RESFORMER, config | {"T": 2}, state)(torch.randn(1, 3, 32, 32)).shape == (2, 1, 5)


def test_neuron_records_of_every_kind():
    _, config, state = small(V3)
    levels = {"default": {"type": "MultiSpike (I-LIF)", "max_value": 8, "min_value": 0, "norm": 8},
              "overrides": {"spike": {"norm": 1},
                            "block3.0.attn.q_spike": {"mean_value": 0.1, "max_value": 2, "norm": 2}}}
    named = modules(load(V3, config | {"neuron": levels}, state))
    assert isinstance(named["spike"], ILIF) and (named["spike"].levels, named["spike"].normalise) == (8, False)
    assert (named["block3.0.attn.q_spike"].levels, named["block3.0.attn.k_spike"].levels) == (2, 8)
    _, config, state = small(V2)
    named = modules(load(V2, config, state))
    assert isinstance(named["lif"], LIF)
    assert (named["block4.1.attn.attn_lif"].threshold, named["block4.1.attn.q_lif"].threshold) == (0.5, 1.0)
    _, config, state = small(RESFORMER)
    plif = {"type": "PLIF", "tau": "learned: 1/sigmoid(w)", "surrogate": "ATan(alpha=2.0, spiking=True)"}
    model = create_model("spikingresformer_tiny", neuron="plif", widths=(8, 16), patches=(2, 1), image_size=32,
                         in_channels=3, group_size=8, prologue="pool", num_classes=5)
    named = modules(load(RESFORMER, config | {"neuron": {"default": plif}}, export_state_dict(model)))
    assert isinstance(named["layers.1.0.activation"], PLIF)
    assert named["layers.0.0.activation_in"].surrogate.name == "atan"


@torch.no_grad()
def test_a_single_block_is_a_layer_over_pictures():
    block = dict(dim=8, num_heads=2, mlp_ratio=2)
    like = create_model("metaspikformer_8_256", widths=(4, 8, 16, 8, 32), heads=2, mlp_ratio=2.0)
    theirs = {key.replace("block3.0.", "blk.").replace("_lif", "_spike"): value
              for key, value in export_block(like).items()}
    loaded = load(V3, block | {"class": "MS_Block"}, theirs)
    x = torch.randn(2, 8, 4, 6)
    assert loaded(x).shape == x.shape
    assert export_state_dict(loaded).keys() == theirs.keys()
    assert modules(loaded)["blk.attn.q_spike"].normalise
    with pytest.raises(ValueError, match=r"x must be \(B, 8, Y, X\)"):
        loaded(torch.randn(2, 4, 4, 4))


def export_block(model):
    from spikeattn.interop.published.metaspikformer import late

    state = model.state_dict()
    rows = late("block3.0", "stages.3.blocks.0")
    from spikeattn.interop.published.engine import tensor_rows

    return {theirs: transform.to_theirs(state[ours]) for theirs, ours, transform in tensor_rows(model, rows)}


@pytest.mark.parametrize(("repo", "changes", "words"), [
    (RESFORMER, {"layers": [["DSSA", "MLP"], ["DSSA"]]}, r"layers must be among .* got \['MLP'\]"),
    (RESFORMER, {"prologue": "5x5"}, "prologue must be None"),
    (RESFORMER, {"class": "spikingresformer_xl"}, "class must be one of"),
    (V2, {"embed_dim": [8, 16, 32]}, "embed_dim must have four widths"),
    (V2, {"mlp_ratios": 2}, "mlp_ratios must be 4"),
    (V3, {"neuron": {"default": {"type": "MultiSpike", "norm": 3}}}, "norm 1 or max_value"),
    (V3, {"neuron": {"default": {"type": "IFNode"}}}, "neuron type must be one of"),
    (V3, {"neuron": {"default": {"type": "MultiSpike"}, "overrides": {"spike9": {}}}}, r"got unknown \['spike9'\]"),
])
def test_a_config_that_is_not_understood_is_refused(repo, changes, words):
    _, config, state = small(repo)
    with pytest.raises(ValueError, match=words):
        load(repo, config | changes, state)


def test_builders_set_sizes():
    with torch.device("meta"):
        gesture = create_model("spikingresformer_dvs_gesture")
    state = {key: torch.empty(value.shape, device="meta") for key, value in export_state_dict(gesture).items()}
    loaded = load(RESFORMER, {"class": "spikingresformer_dvsg", "num_classes": 11, "img_size": 64, "T": 16}, state)
    assert loaded.config.widths == (32, 96, 192) and loaded.config.neuron.name == "plif"
    assert loaded.state_dict().keys() == gesture.state_dict().keys()
