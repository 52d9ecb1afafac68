"""What tracing sees, what it leaves as it was, and what it refuses."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as hooked

from neuromorphic import Ledger, energy, trace
from spikeattn.neurons import LIF, TernaryLIF

MODES = {"grad": torch.enable_grad, "no_grad": torch.no_grad, "inference": torch.inference_mode}


class Spiking(nn.Module):
    """A linear layer, a neuron and a read-out over T = 3 repetitions of the input; weights are dyadic."""

    def __init__(self, neuron: nn.Module | None = None):
        super().__init__()
        self.first, self.neuron, self.last = nn.Linear(6, 5), neuron or LIF(), nn.Linear(5, 2)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randint(-4, 5, parameter.shape, generator=generator) / 4)

    def forward(self, x: Tensor) -> Tensor:
        spikes, _ = self.neuron(self.first(x.unsqueeze(0).expand(3, *x.shape)))
        return self.last(spikes).mean(0)


def dyadic(samples: int, width: int = 6) -> Tensor:
    return torch.randint(-4, 5, (samples, width), generator=torch.Generator().manual_seed(1)) / 2


def evidence(ledger: Ledger) -> tuple:
    """Everything that must not depend on how the data were cut into batches."""
    return ledger.model, ledger.samples, ledger.rows, ledger.emissions, ledger.coverage.fraction


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("batch", [1, 3, 9])
def test_batch_split_gives_identical_integers(batch):
    model, x = Spiking(), dyadic(9)
    whole = trace(model, x, timesteps=3)
    assert 0 < sum(whole.emissions[0].positive) < whole.emissions[0].numel
    assert evidence(trace(model, list(x.split(batch)), timesteps=3)) == evidence(whole)


def test_order_of_samples_does_not_matter():
    model, x = Spiking(TernaryLIF()), dyadic(9)
    assert evidence(trace(model, x.flip(0), timesteps=3)) == evidence(trace(model, x, timesteps=3))


def test_a_batch_as_large_as_T_is_not_taken_for_time():
    model, x = Spiking(), dyadic(3)
    rows = {row.scope: row.steps for row in trace(model, x, timesteps=3).rows if row.dense}
    assert rows == {"first": 3, "last": 3}
    still = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    assert {row.steps for row in trace(still, x, timesteps=3).rows} == {1}


def test_ledgers_of_batches_add_up():
    model, x = Spiking(), dyadic(8)
    first, second = (trace(model, part, timesteps=3) for part in x.split(5))
    assert evidence(first + second) == evidence(trace(model, x, timesteps=3))


def test_per_sample_ledgers_sum_to_the_whole():
    model, x = Spiking(), dyadic(5)
    ledger = trace(model, x, timesteps=3, per_sample=True)
    assert len(ledger.per_sample) == 5 and all(part.samples == 1 for part in ledger.per_sample)
    total = ledger.per_sample[0]
    for part in ledger.per_sample[1:]:
        total = total + part
    assert evidence(total) == evidence(ledger) == evidence(trace(model, x, timesteps=3))


@pytest.mark.parametrize("mode", MODES)
def test_encoder_layer_counts_the_same_under_every_mode(mode):
    torch.manual_seed(0)
    with MODES[mode]():
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
        ledger = trace(layer, torch.randn(2, 16, 32))
    assert energy.operation_counts(ledger)["MAC"] == 294_912
    assert ledger.coverage.fraction == 1.0
    assert [(row.scope, row.op) for row in ledger.rows if row.dense] == [
        ("self_attn", "linear"), ("self_attn", "matmul"), ("self_attn", "matmul"), ("self_attn", "linear"),
        ("linear1", "linear"), ("linear2", "linear"),
    ]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_gives_the_same_ledger(mode):
    def model(x):
        y = functional.conv1d(x, torch.ones(2, 4, 1)).softmax(-1)
        y = torch.einsum("bij,bkj->bik", y, y) @ y
        return functional.scaled_dot_product_attention(y, y, y) + torch.fft.irfft(torch.fft.rfft(y), n=8)

    x = dyadic(6, 8).view(-1, 4, 4).repeat(1, 1, 2)
    with MODES[mode]():
        here = trace(Calls(model), x.clone())
    with torch.no_grad():
        assert evidence(here) == evidence(trace(Calls(model), x))
    assert here.coverage.fraction == 1.0


def test_fused_attention_and_the_fast_path_are_counted():
    q = torch.randn(2, 4, 16, 8)
    sdpa = Calls(lambda x: functional.scaled_dot_product_attention(x, x, x))
    assert energy.operation_counts(trace(sdpa, q))["MAC"] == 32_768
    mha = nn.MultiheadAttention(32, 4, batch_first=True).eval()
    ledger = trace(Calls(lambda x: mha(x, x, x, need_weights=False)[0]), torch.randn(2, 16, 32))
    # the module hides in a closure: its weights are unknown, and no product may vanish for that
    assert sum(row.dense for row in ledger.rows) == 4 * 2 * 16 * 32 * 32 + 2 * 2 * 4 * 16 * 16 * 8


def test_an_unknown_operation_is_uncovered():
    model = nn.Sequential(nn.Linear(6, 6), Calls(torch.special.i0e), nn.ReLU())
    ledger = trace(model, dyadic(4))
    assert [(t.op, t.scope, t.numel) for t in ledger.coverage.uncovered] == [("aten::special_i0e", "1", 24)]
    assert ledger.coverage.fraction == 48 / 72
    assert energy.price(ledger, "horowitz45_fp32").lower_bound


def test_randomness_is_never_free():
    ledger = trace(Calls(lambda x: torch.rand(4, 6) < x), dyadic(4))
    assert [t.op for t in ledger.coverage.uncovered] == ["aten::rand"]


def test_work_on_weights_alone_is_free():
    class Standardised(nn.Linear):
        def forward(self, x):
            return functional.linear(x, (self.weight - self.weight.mean()) / self.weight.std())

    ledger = trace(Standardised(6, 3, bias=False), dyadic(2))
    assert [row.op for row in ledger.rows] == ["linear"]
    assert {"aten::mean", "aten::std", "aten::div"} <= {t.op for t in ledger.coverage.free}


def test_a_constant_that_is_written_to_is_constant_no_more():
    def model(x):
        buffer = torch.zeros(2, 6)
        buffer[0] = x[0]
        return buffer.exp()

    ledger = trace(Calls(model), dyadic(2))
    assert energy.operation_counts(ledger) == {"EXP": 12}


@pytest.mark.parametrize("between, bias", [(lambda x: x, 8), (lambda x: x.relu_(), 0), (torch.relu, 0)])
def test_a_bias_added_apart_is_the_layers_own(between, bias):
    class Apart(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(6, 2)), nn.Parameter(torch.ones(2))

        def forward(self, x):
            return between(x @ self.weight) + self.bias

    ledger = trace(Apart(), dyadic(4))
    assert ledger.rows[0].bias == bias and energy.operation_counts(ledger)["ADD"] == 8


def test_first_layer_is_charged_each_step_or_once():
    model, x = Spiking(), dyadic(4)
    ledger = trace(model, x, timesteps=3)
    first = next(row for row in ledger.rows if row.scope == "first")
    assert first.reads_input and first.left.repeats and first.dense == 3 * 4 * 30
    counts = {how: energy.operation_counts(ledger, energy.Rule(first_conv=how)) for how in ("times_T", "once")}
    assert counts["times_T"]["MAC"] - counts["once"]["MAC"] == 2 * 4 * 30


def test_first_layer_that_runs_once_can_be_charged_T_times():
    class Cached(Spiking):
        def forward(self, x):
            current = self.first(x)
            return self.last(self.neuron(current.unsqueeze(0).expand(3, *current.shape))[0]).mean(0)

    ledger = trace(Cached(), dyadic(4), timesteps=3)
    first = next(row for row in ledger.rows if row.scope == "first")
    assert first.reads_input and first.steps == 1 and first.dense == 4 * 30
    assert energy.operation_counts(ledger)["MAC"] == 3 * 4 * 30
    assert energy.operation_counts(ledger, energy.Rule(first_conv="once"))["MAC"] == 4 * 30


def test_accuracy_comes_from_labels():
    model, x = nn.Linear(3, 3, bias=False), torch.eye(3)
    with torch.no_grad():
        model.weight.copy_(torch.eye(3))
    assert trace(model, x).model.accuracy is None
    ledger = trace(model, [(x, torch.tensor([0, 1, 0])), (x, torch.tensor([0, 1, 2]))])
    assert (ledger.model.labelled, ledger.model.correct) == (6, 5)


def test_batches_limits_what_is_taken():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield dyadic(2)

    assert trace(nn.Linear(6, 2), endless(), batches=3).samples == 6
    assert len(taken) == 3


def test_a_loader_is_an_iterable_of_pairs():
    data = torch.utils.data.TensorDataset(dyadic(5), torch.zeros(5, dtype=torch.long))
    ledger = trace(nn.Linear(6, 2), torch.utils.data.DataLoader(data, batch_size=2))
    assert (ledger.samples, ledger.model.labelled) == (5, 5)


class Restless(nn.Module):
    """Draws random numbers, writes a buffer, has a norm and dropout, and can fail."""

    def __init__(self, fail: bool):
        super().__init__()
        self.norm, self.drop, self.fail = nn.BatchNorm1d(6), nn.Dropout(0.5), fail
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.1))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += 1
        x = self.norm(self.drop(self.inner(x))) + torch.rand(6) + random.random() + float(np.random.rand())
        if self.fail:
            raise RuntimeError("broken layer")
        return x


@pytest.mark.parametrize("fail", [False, True])
def test_nothing_is_disturbed(fail):
    model = Restless(fail).train()
    model.inner[0].eval()  # flags are restored module by module
    flags = [m.training for m in model.modules()]
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    fast_path, grad = torch.backends.mha.get_fastpath_enabled(), torch.is_grad_enabled()
    if fail:
        with pytest.raises(RuntimeError, match="broken layer"):
            trace(model, dyadic(4))
    else:
        trace(model, dyadic(4))
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(b, buffers[name]) for name, b in model.named_buffers())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1] and (np.random.get_state()[1] == states[2]).all()
    assert torch.backends.mha.get_fastpath_enabled() == fast_path and torch.is_grad_enabled() == grad
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert not hooked._global_forward_hooks and not hooked._global_forward_pre_hooks
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_other_modules_and_hooks_of_the_user_are_left_alone():
    """A module of another network is no scope of ours; what a hook on a neuron runs is work of the network."""

    class Borrowing(nn.Module):
        def __init__(self):
            super().__init__()
            self.neuron, self._other = LIF(), [nn.Linear(6, 6, bias=False)]

        def forward(self, x):
            return self._other[0](self.neuron(x)[0])

    model, doubled = Borrowing(), []
    model.neuron.register_forward_hook(lambda module, args, out: doubled.append(out[0].exp()))
    ledger = trace(model, torch.full((1, 2, 6), 3.0), timesteps=1, batch_axis=1)
    assert [(row.scope, row.op) for row in ledger.rows] == [("neuron", "neuron"), ("", "elementwise"), ("", "matmul")]
    assert len(doubled) == 1 and ledger.emissions[0].positive == (12,)


def test_a_scripted_module_is_counted_like_the_eager_one():
    model, x = nn.Sequential(nn.Linear(6, 4), nn.GELU()).eval(), dyadic(3)
    with pytest.warns(DeprecationWarning):
        scripted = torch.jit.trace(model, x)
    ours, theirs = (energy.operation_counts(trace(m, x)) for m in (model, scripted))
    assert ours == theirs and ours["MAC"] == 3 * 24


@pytest.mark.compile
def test_a_compiled_module_is_counted_like_the_eager_one():
    model, x = Spiking(), dyadic(4)
    eager = trace(model, x, timesteps=3)
    compiled = trace(torch.compile(model, backend="eager"), x, timesteps=3)
    assert compiled.rows == eager.rows and compiled.emissions == eager.emissions
    assert compiled.model == eager.model


@pytest.mark.parametrize(
    "inputs, error, text",
    [
        (torch.tensor([[float("nan")] * 6]), ValueError, "finite"),
        (torch.tensor([[float("inf")] * 6]), ValueError, "finite"),
        ([], ValueError, "at least one batch"),
        (iter(()), ValueError, "at least one batch"),
        (torch.zeros(0, 6), ValueError, "hold samples"),
        ("digits", TypeError, "tensor or a pair"),
        ([["x", "y"]], TypeError, "tensor or a pair"),
        ({"x": "digits"}, TypeError, "tensor or a pair"),
        ({"input": torch.full((1, 6), float("nan"))}, ValueError, "finite"),
        ([(torch.zeros(1, 6), [3])], TypeError, "labels"),
        ((torch.zeros(4, 6), torch.zeros(2)), ValueError, "a label for each of its 4 samples, got labels of shape"),
    ],
)
def test_bad_inputs_are_refused(inputs, error, text):
    with pytest.raises(error, match=text):
        trace(nn.Linear(6, 2), inputs)


def test_nan_born_inside_the_model_is_refused():
    masked = Calls(lambda x: x.masked_fill(x < 9, float("-inf")).softmax(-1))
    with pytest.raises(ValueError, match="NaN"):
        trace(masked, dyadic(2))


def test_inputs_of_two_shapes_are_one_clear_error():
    with pytest.raises(ValueError, match=r"input_shape \(6,\) and \(3, 6\)"):
        trace(nn.Linear(6, 2), [dyadic(2), dyadic(6).view(2, 3, 6)])


def test_a_model_that_changes_shape_is_named():
    class Cropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(1, 2, 3)

        def forward(self, x):
            return self.conv(x[:, None, : 4 if float(x[0, 0]) > 0 else 6])

    x = torch.ones(2, 6)
    ledger = trace(Cropping(), [x, -x, x])
    assert ledger.changed_shapes == ("conv",) and ledger.passes == 3
    assert [row.dense for row in ledger.rows] == [2 * 2 * (2 * 3 * 2), 2 * (2 * 3 * 4)]
    assert trace(Cropping(), [x, x]).changed_shapes == ()


def test_norms_that_never_saw_a_batch_are_named():
    model = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3), nn.Linear(3, 3), nn.BatchNorm1d(3))
    assert trace(model, dyadic(4)).model.unfed_norms == ("1", "3")
    model(dyadic(8))
    assert trace(model, dyadic(4)).model.unfed_norms == ()
    loaded = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3))  # published weights without their count of batches
    loaded[1].running_mean.fill_(0.5)
    assert trace(loaded, dyadic(4)).model.unfed_norms == ()
    assert trace(nn.Sequential(nn.Linear(6, 3), nn.LayerNorm(3)), dyadic(4)).model.unfed_norms == ()


def test_named_inputs_and_inputs_in_order():
    bilinear = nn.Bilinear(6, 6, 2)
    x = dyadic(4)
    named = trace(bilinear, {"input1": x, "input2": x})
    assert evidence(trace(bilinear, (x, x), positional=True)) == evidence(named)
    assert evidence(trace(bilinear, [(x[:1], x[:1]), (x[1:], x[1:])], positional=True))[:2] == evidence(named)[:2]
    with pytest.raises(TypeError, match="positional=True"):
        trace(nn.Linear(6, 2), [(x, "not labels")])


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="torch.nn.Module"):
        trace(lambda x: x, dyadic(1))
    with pytest.raises(ValueError, match="batches"):
        trace(nn.Linear(6, 2), dyadic(1), batches=0)


def test_a_network_that_overflows_is_named():
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 2))
    nn.init.constant_(model[0].weight, 1e38)
    with pytest.raises(ValueError, match="finite.*'1'"):
        trace(model, torch.full((1, 6), 1e3))


def test_a_shared_module_has_one_row_for_each_call():
    layer = nn.Linear(6, 6)
    ledger = trace(nn.Sequential(layer, nn.ReLU(), layer), dyadic(2))
    assert [(row.scope, row.call) for row in ledger.rows if row.op == "linear"] == [("0", 0), ("0", 1)]


def test_a_ledger_survives_json():
    ledger = trace(Spiking(), dyadic(4), timesteps=3, per_sample=True)
    assert Ledger.from_json(ledger.to_json()) == ledger
    assert replace(ledger, samples=5) != ledger
