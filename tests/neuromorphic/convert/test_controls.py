"""Swaps that must fail, odd networks that must not, and warnings: all on networks that convert in a blink."""

import copy
import warnings as python_warnings

import pytest
import torch
from torch import nn

from neuromorphic.convert import convert
from neuromorphic.convert.build import build
from neuromorphic.convert.prepare import prepare
from neuromorphic.convert.settings import Settings
from neuromorphic.convert.sites import measure_sites
from neuromorphic.convert.warn import warnings
from spikeattn.converted import Encode
from spikeattn.converted.linear import Weighted

LABELS = torch.arange(64) % 4
X = torch.randn(64, 5, 16, generator=torch.Generator().manual_seed(0))


def encoder() -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", norm_first=True, batch_first=True)
    return nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()


def chain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 16), nn.ReLU(),
                         nn.Linear(16, 4)).eval()  # fmt: skip


@pytest.fixture(scope="module")
def prepared():
    return prepare(encoder(), X)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(((a - b).norm() / b.norm()).detach())


# ----- swaps: each must break either the equality of the two forms or the nearness to the ANN


def differing(model, spoiled) -> int:
    """Bits in which spikes of the spoiled network differ from code words of the true one."""
    return int((spoiled(X) != model.codes(X)).sum())


def spoil_bias(model) -> None:
    next(layer for layer in model.modules() if isinstance(layer, Weighted)).bias.zero_()


def spoil_base(model) -> None:
    next(layer for layer in model.modules() if isinstance(layer, Weighted)).base = 2


def spoil_threshold(model) -> None:
    layer = next(layer for layer in model.modules() if isinstance(layer, Encode))
    layer.threshold.mul_(2)


def spoil_step(model) -> None:
    """The planes of one coding layer, last first."""
    layer = next(layer for layer in model.modules() if isinstance(layer, Encode))
    forward = type(layer).forward
    layer.forward = lambda a: forward(layer, a).flip(0)


def spoil_shift(model) -> None:
    next(layer for layer in model.modules() if isinstance(layer, Weighted) and layer.shift.any()).shift.add_(1)


@pytest.mark.parametrize("spoil", [spoil_bias, spoil_base, spoil_threshold, spoil_step, spoil_shift])
@torch.no_grad()
def test_a_spoiled_network_gives_other_bits(prepared, spoil):
    model = build(prepared, Settings(timesteps=3)).model
    assert differing(model, model) == 0
    for layer in model.modules():
        if isinstance(layer, Weighted):
            layer.bias.add_(1000)  # none of them 0, so that dropping one shows
    spoiled = copy.deepcopy(model)
    spoil(spoiled)
    assert differing(model, spoiled) > X.numel() // 20


def test_an_even_threshold_has_ties():
    """With the odd threshold 5 no membrane is at half a weight; with 4 the neuron and the closed form part."""
    a = torch.arange(-60, 61)
    for threshold, equal in ((5, True), (4, False)):
        node = Encode(threshold=torch.tensor(threshold), coding="ternary", timesteps=3)
        weights = torch.tensor([9, 3, 1]).view(-1, 1)
        assert torch.equal((node(a) * weights).sum(0), node.codes(a)) == equal


@pytest.mark.parametrize(("settings", "worse"), [
    ({"coding": "rate", "per_channel": False}, 3.0), ({"norm": "l1"}, 1.2), ({"activation": "relu"}, 2.0),
    ({"normaliser": "ceil"}, 1.2),
], ids=["rate", "l1", "relu", "ceil"])  # fmt: skip
@torch.no_grad()
def test_bad_swaps_are_worse(prepared, settings, worse):
    wanted = encoder()(X)
    good, bad = (relative(build(prepared, Settings(timesteps=4, **more)).model.codes(X), wanted)
                 for more in ({}, settings))  # fmt: skip
    assert bad > worse * good


@torch.no_grad()
def test_ternary_of_two_steps_is_rate_of_four(prepared):
    """Both have nine levels, so the same ranges give the same codes: only the spikes differ."""
    two, four = (build(prepared, Settings(timesteps=T, coding=code)) for T, code in ((2, "ternary"), (4, "rate")))
    assert torch.equal(two.model.codes(X), four.model.codes(X)) and torch.equal(two.model(X), four.model(X))
    spikes = [measure_sites(built.builder, built.model, prepared.graph, [{"tokens": X}])[1] for built in (two, four)]
    assert spikes[0] < spikes[1]


def test_a_channel_that_was_quiet_saturates_and_the_floor_helps():
    """Conversion notes: zeroed in the calibration data, back in what is served."""
    quiet = X.clone()
    quiet[..., 3] = 0
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    found = {floor: convert(model, quiet, timesteps=4, floor=floor) for floor in (0.0, 0.25)}
    saturation, errors = [], []
    for floor, (snn, _) in found.items():
        ready = prepare(model, quiet)
        built = build(ready, Settings(timesteps=4, floor=floor))
        sites, _ = measure_sites(built.builder, built.model, ready.graph, [{"tokens": X}])
        saturation.append(next(site.saturation_evaluation for site in sites if "tokens" in site.path))
        errors.append(relative(snn(X), model(X)))
    assert saturation[0] > 1 / 16 * 0.9 > saturation[1] and errors[1] < errors[0] / 1.2


def test_halved_ranges_are_reported():
    model = nn.Sequential(nn.Linear(16, 16, bias=False), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    ready = prepare(model, X)
    built = build(ready, Settings(timesteps=4, ranges="max"))
    for data, some in ((X, False), (X * 2, True)):
        sites, _ = measure_sites(built.builder, built.model, ready.graph, [{"tokens": data}])
        assert (max(site.saturation_evaluation for site in sites) > 0.01) == some


# ----- odd networks


def zero_row(model) -> None:
    model[1].weight[3], model[1].bias[3] = 0, 0


def zero_layer(model) -> None:
    model[3].weight.zero_()
    model[3].bias.zero_()


ODD = {"a row of zeros": zero_row, "weights of zeros": lambda model: model[1].weight.zero_(),
       "a silent layer": zero_layer}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
@torch.no_grad()
def test_zero_weights(case):
    model = chain()
    ODD[case](model)
    snn, report = convert(model, X, timesteps=5)
    assert torch.equal(snn(X), snn.codes(X)) and relative(snn(X), model(X)) < 0.05
    silent = [warning.where for warning in report.warnings if "every value was 0" in warning.what]
    assert silent == (["3", "4"] if case == "a silent layer" else [])


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4])
@torch.no_grad()
def test_a_constant_channel(value):
    x = X.clone()
    x[..., 5] = value
    snn, _ = convert(chain(), x, timesteps=5)
    assert torch.equal(snn(x), snn.codes(x)) and relative(snn(x), chain()(x)) < 0.05


@torch.no_grad()
def test_silent_queries():
    model = encoder()
    model.layers[0].self_attn.in_proj_weight[:16] = 0
    snn, _ = convert(model, X, timesteps=5)
    assert torch.equal(snn(X), snn.codes(X)) and relative(snn(X), model(X)) < 0.1


@torch.no_grad()
def test_a_float64_model():
    snn, report = convert(chain().double(), X[:, 0].double(), timesteps=5, evaluation=(X[:, 0].double(), LABELS))
    same, _ = convert(chain(), X[:, 0], timesteps=5)
    assert torch.equal(snn(X), snn.codes(X)) and torch.equal(snn(X), same(X))
    assert report.purity.float_free == 1.0 and report.fidelity.mean > 0.9


def test_flags_and_weights_of_the_source_are_left_alone():
    model = chain().train()
    model[2].eval()
    flags, weights = [part.training for part in model.modules()], copy.deepcopy(model.state_dict())
    convert(model, X[:, 0], timesteps=2, evaluation=(X[:, 0], LABELS))
    assert flags == [part.training for part in model.modules()]
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("weights", ["int8", "int12", "int16"])
@pytest.mark.parametrize("timesteps", [1, 8])
@torch.no_grad()
def test_few_and_many_levels(weights, timesteps):
    model = encoder()
    snn, report = convert(model, X, timesteps=timesteps, weights=weights)
    assert torch.equal(snn(X), snn.codes(X)) and torch.equal(snn(X[:1]), snn(X)[:1])
    assert all(site.levels == {1: 1, 8: 3280}[timesteps] and site.max_error <= site.bound for site in report.layers)
    layers = [layer for layer in snn.modules() if isinstance(layer, Weighted)]
    widest = max(int(layer.weight.abs().to(torch.int64).flatten(1).sum(1).max()) * report.layers[0].levels
                 for layer in layers)  # fmt: skip
    assert max(layer.word_sum for layer in layers) == widest < 2**53
    assert all((layer.word_dtype == torch.float32) == (layer.word_sum < 2**24) for layer in layers)


@torch.no_grad()
def test_eight_steps_are_finer_than_six():
    """Grids grow with the code: a step must stay many units wide, or its odd threshold would move the range."""
    errors = [relative(convert(chain(), X, timesteps=T, weights="int16")[0](X), chain()(X)) for T in (4, 6, 8)]
    assert errors == sorted(errors, reverse=True) and errors[2] < 0.01
    snn, _ = convert(chain(), X, timesteps=8)
    assert min(int(layer.threshold.min()) for layer in snn.modules() if isinstance(layer, Encode)) > 64


@torch.no_grad()
def test_real_weights_agree_up_to_rounding():
    snn, report = convert(encoder(), X, timesteps=4, weights="float")
    assert report.purity.label == "hybrid" and relative(snn(X), snn.codes(X)) < 1e-5
    assert any("up to rounding only" in warning.what for warning in report.warnings)


class Unused(nn.Module):
    """A layer whose output nobody reads."""

    def __init__(self):
        super().__init__()
        self.a, self.act, self.b, self.idle = nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.b(self.act(self.a(x)))


@pytest.mark.parametrize(("change", "message"), [
    (lambda: convert(Unused(), X), "must equal Unused"),
    (lambda: convert(chain(), X, timesteps=0), "timesteps must be a whole number"),
    (lambda: convert(chain(), X, timesteps=40), "must be an integer from 1 to 20"),
    (lambda: convert(chain(), X[:0]), "must"), (lambda: convert(chain(), torch.ones(9, 5, 16)), "must not be constant"),
    (lambda: convert(chain(), X.masked_fill(X > 2, float("inf"))), "finite"),
    (lambda: convert(chain(), torch.randn(8, 5, 7)), "must"),
], ids=["unused", "no steps", "too many steps", "no data", "constant", "infinite", "size"])  # fmt: skip
def test_refused(change, message):
    with pytest.raises(ValueError, match=message):
        change()


def test_nan_weights_are_refused():
    model = chain()
    with torch.no_grad():
        model[1].weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match="must be finite, not so in 1.weight"):
        convert(model, X)


@torch.no_grad()
def test_one_sample_is_enough_to_run_and_too_few_to_trust():
    snn, report = convert(chain(), X[:1], timesteps=4)
    assert torch.equal(snn(X[:1]), snn.codes(X[:1]))
    assert any("only 1 samples" in warning.what for warning in report.warnings)


# ----- warnings


def found(report, word: str) -> list[str]:
    return [warning.where for warning in report.warnings if word in warning.what]


def test_calibration_data_that_is_evaluated_on():
    x = X[:, 0]
    _, report = convert(chain(), x[:40], timesteps=4, evaluation=(x[30:], LABELS[30:]))
    assert [warning.what[:40] for warning in report.warnings if warning.where == "evaluation"] == [
        "10 of 34 samples are also in the calibra"]  # fmt: skip
    _, clean = convert(chain(), x[:40], timesteps=4, evaluation=(x[40:], LABELS[40:]))
    assert not found(clean, "also in") and not found(clean, "no evaluation data")
    assert found(convert(chain(), X, timesteps=4)[1], "no evaluation data") == ["evaluation"]


def test_outlier_channels_are_named_where_they_share_a_range():
    x = X.clone()
    x[..., 5] *= 1000
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    assert not found(convert(model, x, timesteps=4)[1], "share a range")
    assert found(convert(model, x, timesteps=4, per_channel=False)[1], "share a range") == ["tokens"]


def test_outlier_channels_are_named_where_they_raise_the_floor_of_the_others():
    x = X.clone()
    x[..., 5] *= 1000
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    _, report = convert(model, x, timesteps=4)
    assert found(report, "raise the floor above") == ["tokens"]
    assert not found(convert(model, x, timesteps=4, floor=0.0)[1], "raise the floor")
    assert not found(convert(model, X, timesteps=4)[1], "raise the floor")


def test_saturation_is_named_per_site():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).eval(), X[:, 0]
    _, report = convert(model, x / 4, timesteps=4, evaluation=(x, LABELS))
    assert found(report, "leave the calibrated range on the evaluation data") == ["tokens_grid"]
    assert not found(convert(model, x, timesteps=6)[1], "calibrated range")


def test_an_untrained_ann_and_a_far_network_are_named():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    x = X[:, 0]
    wrong = (model(x).argmax(1) + 1) % 4
    assert found(convert(model, x, timesteps=4, evaluation=(x, wrong))[1], "looks untrained")
    right = model(x).argmax(1)
    _, report = convert(model, x, timesteps=1, coding="rate", per_channel=False, evaluation=(x, right))
    assert not found(report, "looks untrained") and found(report, "another network")
    assert not found(convert(model, x, timesteps=5, evaluation=(x, right))[1], "another network")


def test_every_warning_says_what_to_do(prepared):
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("error")
        built = build(prepared, Settings(timesteps=2, coding="multi_threshold", norm="exact"))
    got = warnings(prepared, (), built.model, built.settings)
    assert [warning.where for warning in got] == ["evaluation", "settings", "coding", "execution"]
    assert all(warning.what_to_do.endswith(".") and warning.what for warning in got)
