"""What every layer with explicit state promises, whatever it computes."""

import math
import re
from collections.abc import Sequence

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.testing import assert_close

from spikeattn.testing.dyadic import dyadic, make_dyadic
from spikeattn.testing.firing import firing_rates, recorded_spikes, spiking_layers
from spikeattn.types import State, flatten_state, unflatten_state

MESSAGE = re.compile(r"^\w[\w. ']*: .+, got .+\. \S.+", re.DOTALL)


class LayerContract:
    """Promises of `out, state = layer(x, state=None)`, x (T, B, ...). Override `make` and `example`.

    exact: every operation is exact on dyadic numbers; False for mechanisms with an exponential or a division,
    which are then compared in float64 only. traceable: PyTorch's compiler and exporter can follow the code; False
    for code of other libraries that branches on tensors. steps: T of the examples.
    """

    exact = True
    traceable = True
    steps = 4

    def make(self) -> nn.Module:
        """A freshly initialised layer."""
        raise TypeError(f"{type(self).__name__}: make must return the layer to test, got none. Override it.")

    def example(self, batch: int) -> Tensor:
        """Standard input (T, batch, ...) on which some, but not all, units spike."""
        raise TypeError(f"{type(self).__name__}: example must return an input, got none. Override it.")

    def run(self, layer: nn.Module, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """The call under test; a model streams instead."""
        return layer(x, state)

    def bad_inputs(self) -> Sequence[Tensor]:
        """Inputs that must be refused with a ValueError."""
        return []

    # What the tests share

    def prepared(self, batch: int = 2) -> tuple[nn.Module, Tensor]:
        """The layer in evaluation mode and an example, after asserting that it is worth testing on it."""
        torch.manual_seed(0)
        layer = self.make().eval()
        x = self.example(batch)
        self.assert_alive(layer, x)
        return layer, x

    def prepared_dyadic(self, batch: int) -> tuple[nn.Module, Tensor]:
        """The same with dyadic weights and inputs, after asserting that float32 loses nothing against float64."""
        torch.manual_seed(0)
        layer, x = make_dyadic(self.make().eval()), dyadic(self.example(batch))
        self.assert_alive(layer, x)
        narrow = self.run(layer, x)[0]
        wide = self.run(layer.double(), x.double())[0]
        assert torch.equal(narrow.double(), wide), "sums are not exact: set exact = False if a mechanism cannot be"
        return layer.float(), x

    def prepared_double(self, batch: int) -> tuple[nn.Module, Tensor]:
        layer, x = self.prepared(batch)
        return layer.double(), x.double()

    def assert_alive(self, layer: nn.Module, x: Tensor) -> None:
        """Some, but not all, units of every spiking layer spike; the output is finite and not constant."""
        with torch.no_grad(), recorded_spikes(layer) as record:
            out, _ = self.run(layer, x)
        rates = firing_rates(record)
        assert rates.keys() == spiking_layers(layer).keys(), "a spiking layer never ran"
        for name, rate in rates.items():
            assert 0 < rate < 1, f"layer {name!r} fires at {rate:.0%}: nothing would be tested"
        assert out.isfinite().all()
        assert out.std() > 0

    def tolerance(self) -> dict[str, float]:
        """Between two programs in float32; a mechanism that is not exact may be computed in another form."""
        return dict(rtol=1e-6, atol=1e-6) if self.exact else dict(rtol=1e-3, atol=1e-4)

    def chunk(self, layer: nn.Module) -> int:
        """Fewest time steps the layer takes at once."""
        return getattr(layer, "stream_chunk", 1)

    def few_steps(self, layer: nn.Module, x: Tensor) -> Tensor:
        """The first two chunks: what is unrolled over time takes as long to trace as it is long."""
        return x[:2 * self.chunk(layer)]

    def streamed(self, layer: nn.Module, x: Tensor) -> tuple[Tensor, State]:
        """The sequence in the smallest pieces, the state carried along."""
        outputs, state = [], None
        for piece in x.split(self.chunk(layer)):
            out, state = self.run(layer, piece, state)
            outputs.append(out)
        return torch.cat(outputs), state

    def one_by_one(self, layer: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Every item of the batch on its own: outputs, and the flat state joined along the batch."""
        outputs, states = zip(*(self.run(layer, item) for item in x.split(1, dim=1)), strict=True)
        flat = [flatten_state(state) for state in states]
        return torch.cat(outputs, 1), {name: torch.cat([state[name] for state in flat]) for name in flat[0]}

    def remembers(self, layer: nn.Module) -> bool:
        """Whether a step depends on the steps before it."""
        return any(neuron.cost is None or neuron.cost.state_words for neuron in spiking_layers(layer).values())

    # Time and batch

    @torch.no_grad()
    def test_streaming_equals_whole_bitwise(self):
        if not self.exact:
            return
        layer, x = self.prepared_dyadic(batch=2)
        (whole, end), (pieces, last) = self.run(layer, x), self.streamed(layer, x)
        assert torch.equal(whole, pieces)
        assert_same_state(end, last)

    @torch.no_grad()
    def test_streaming_equals_whole_in_float64(self):
        layer, x = self.prepared_double(batch=2)
        with recorded_spikes(layer) as at_once:
            whole, end = self.run(layer, x)
        with recorded_spikes(layer) as stepwise:
            pieces, last = self.streamed(layer, x)
        for name in at_once:
            assert torch.equal(torch.cat(at_once[name]), torch.cat(stepwise[name])), f"spikes of {name!r} differ"
        assert_close(whole, pieces, rtol=1e-10, atol=1e-10)
        assert_close(flatten_state(end), flatten_state(last), rtol=1e-10, atol=1e-10)

    @torch.no_grad()
    def test_batch_equals_single_items_bitwise(self):
        if not self.exact:
            return
        layer, x = self.prepared_dyadic(batch=3)
        whole, end = self.run(layer, x)
        items, states = self.one_by_one(layer, x)
        assert torch.equal(whole, items)
        assert_same_state(flatten_state(end), states)

    @torch.no_grad()
    def test_batch_equals_single_items_in_float64(self):
        layer, x = self.prepared_double(batch=3)
        with recorded_spikes(layer) as together:
            whole, _ = self.run(layer, x)
        with recorded_spikes(layer) as alone:
            items, _ = self.one_by_one(layer, x)
        for name in together:
            assert torch.equal(torch.cat(together[name]), torch.cat(alone[name], 1)), f"spikes of {name!r} differ"
        assert_close(whole, items, rtol=1e-10, atol=1e-10)

    def test_batch_items_do_not_mix(self):
        layer, x = self.prepared()
        x = x.clone().requires_grad_()
        out, _ = self.run(layer, x)
        (grad,) = torch.autograd.grad((out[:, 0] * torch.randn_like(out[:, 0])).sum(), x)
        assert grad[:, 0].count_nonzero() > 0
        assert grad[:, 1:].count_nonzero() == 0

    # Memory

    @torch.no_grad()
    def test_nothing_is_remembered_between_calls(self):
        layer, x = self.prepared()
        before = _snapshot(layer)
        first, _ = self.run(layer, x)
        self.run(layer, self.example(3))
        again, _ = self.run(layer, x)
        assert torch.equal(first, again)
        assert_same_state(before, _snapshot(layer))

    def test_a_second_training_step_is_like_the_first(self):
        layer, x = self.prepared()
        layer.train()
        before, stored = _snapshot(layer), {k: v.clone() for k, v in layer.state_dict().items()}
        gradients = []
        for _ in range(2):
            layer.zero_grad()
            layer.load_state_dict(stored)  # averages may enter a training pass too; nothing else is kept
            leaf = x.clone().requires_grad_()
            self.run(layer, leaf)[0].square().sum().backward()
            gradients.append(leaf.grad)
        assert torch.equal(*gradients)
        changed = {name for name, value in _snapshot(layer).items() if not torch.equal(value, before[name])}
        assert changed <= _averages(layer), f"training calls changed {sorted(changed - _averages(layer))}"

    @torch.no_grad()
    def test_state_flattens_and_unflattens(self):
        layer, x = self.prepared()
        _, state = self.run(layer, x)
        flat = flatten_state(state)
        again = unflatten_state(state, flat)
        assert type(again) is type(state)
        assert_same_state(state, again)
        assert all(tensor.shape[0] == x.shape[1] for tensor in flat.values()), "the state's first axis is the batch"
        detached = flatten_state(state.detach() if state is not None else None)
        assert all(not tensor.requires_grad for tensor in detached.values())
        assert torch.equal(self.run(layer, x, state)[0], self.run(layer, x, again)[0])

    # Gradients and values

    def test_gradient_reaches_the_first_step(self):
        for training in (True, False):
            layer, x = self.prepared()
            layer.train(training)
            x = x.clone().requires_grad_()
            out, _ = self.run(layer, x)
            (grad,) = torch.autograd.grad(out.square().sum(), x, retain_graph=True)
            assert grad.isfinite().all()
            assert grad[0].count_nonzero() > 0
            if self.remembers(layer):
                (grad,) = torch.autograd.grad(out[-1].square().sum(), x)
                assert grad[0].count_nonzero() > 0, "the last step does not depend on the first"

    def test_every_parameter_learns(self):
        layer, x = self.prepared()
        layer.train()
        out, _ = self.run(layer, x)
        if not list(layer.parameters()):
            return
        (out * torch.randn_like(out)).sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None, f"{name} has no gradient"
            assert parameter.grad.isfinite().all(), f"{name} has a gradient that is not finite"

    @torch.no_grad()
    def test_spikes_lie_in_the_alphabet(self):
        layer, x = self.prepared()
        with recorded_spikes(layer) as record:
            self.run(layer, x)
        for name, neuron in spiking_layers(layer).items():
            assert_in_alphabet(torch.cat(record[name]), neuron)

    @torch.no_grad()
    def test_extreme_inputs_stay_finite(self):
        layer, x = self.prepared()
        for training in (True, False):
            layer.train(training)
            for extreme in (torch.zeros_like(x), x * 1e4, torch.full_like(x, -1e4)):
                out, state = self.run(layer, extreme)
                assert out.isfinite().all()
                assert all(tensor.isfinite().all() for tensor in flatten_state(state).values())

    def test_bad_inputs_are_refused_with_advice(self):
        layer, x = self.prepared()
        for bad in (*self.bad_inputs(), x[:0]):
            try:
                self.run(layer, bad)
            except ValueError as error:
                assert MESSAGE.match(str(error)), f"a message reads `Where: must ..., got ... . Advice`, not: {error}"
            else:
                raise AssertionError(f"input of shape {tuple(bad.shape)} was accepted")

    # Tools

    @torch.no_grad()
    def test_exports_with_any_batch(self):
        if not self.traceable:
            return
        layer, x = self.prepared()
        x = self.few_steps(layer, x)
        _, state = self.run(layer, x)
        program = _FlatState(self, layer, state)
        batch = torch.export.Dim("batch")
        flat = flatten_state(state)
        shapes = ({1: batch}, {name: {0: batch} for name in flat})
        exported = torch.export.export(program, (x, flat), dynamic_shapes=shapes).module()
        for size in (1, 3):
            x = self.few_steps(layer, self.example(size))
            _, state = self.run(layer, x)
            expected, theirs = program(x, flatten_state(state)), exported(x, flatten_state(state))
            assert_close(theirs, expected, **self.tolerance())

    def test_compiles_as_one_graph(self):
        if not self.traceable:
            return
        layer, x = self.prepared()
        x = self.few_steps(layer, x)
        torch.compiler.reset()
        compiled = torch.compile(lambda x: self.run(layer, x)[0], backend="eager", fullgraph=True)
        results = []
        for call in (compiled, lambda x: self.run(layer, x)[0]):
            leaf = x.clone().requires_grad_()
            out = call(leaf)
            out.square().sum().backward()
            results.append((out.detach(), leaf.grad))
        torch.compiler.reset()
        assert_close(results[0], results[1], **self.tolerance())

    @torch.no_grad()
    def test_weights_survive_a_file(self):
        layer, x = self.prepared()
        layer.train()
        self.run(layer, x)  # running statistics that are no defaults
        layer.eval()
        stored = load(save({name: tensor.contiguous() for name, tensor in layer.state_dict().items()}))
        torch.manual_seed(1)
        again = self.make().eval()
        again.load_state_dict(stored)
        assert torch.equal(self.run(layer, x)[0], self.run(again, x)[0])


class _FlatState(nn.Module):
    """A layer whose state goes in and out as a flat dictionary, as exported programs have it."""

    def __init__(self, contract: LayerContract, layer: nn.Module, like: State):
        super().__init__()
        self.layer = layer
        self.call = lambda x, state: contract.run(self.layer, x, state)
        self.like = like

    def forward(self, x: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        out, after = self.call(x, unflatten_state(self.like, state))
        return out, flatten_state(after)


def assert_same_state(left: State | dict, right: State | dict) -> None:
    """Two states, or two flat dictionaries, with the same names and bitwise equal tensors."""
    left, right = (side if isinstance(side, dict) else flatten_state(side) for side in (left, right))
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), f"{name} differs"


ALPHABETS = {"binary": (0, 1), "ternary": (-1, 1), "graded": (0, math.inf), "signed_graded": (-math.inf, math.inf)}


def assert_in_alphabet(spikes: Tensor, neuron: nn.Module) -> None:
    """Spikes are whole numbers in the range of the neuron's `alphabet` (in units of 1 / levels if it normalises)."""
    level = spikes * neuron.levels if getattr(neuron, "normalise", False) else spikes
    lowest, highest = ALPHABETS[neuron.alphabet]
    most = min(highest, getattr(neuron, "levels", math.inf))
    assert torch.equal(level, level.round()), f"{neuron.alphabet} spikes must be whole numbers"
    assert lowest <= level.min() and level.max() <= most, f"spikes leave the {neuron.alphabet} alphabet"


def _snapshot(layer: nn.Module) -> dict[str, Tensor]:
    """Every tensor the layer holds, registered or not."""
    held = {name: tensor.detach().clone() for name, tensor in (*layer.named_parameters(), *layer.named_buffers())}
    for path, module in layer.named_modules():
        held |= {f"{path}.{name}": value.detach().clone()
                 for name, value in vars(module).items() if isinstance(value, Tensor)}
    return held


def _averages(layer: nn.Module) -> set[str]:
    """Buffers that training may change: statistics of norms and firing-rate averages."""
    return {name for name, _ in layer.named_buffers()
            if name.rsplit(".", 1)[-1] in ("running_mean", "running_var", "num_batches_tracked")
            or "firing_rate" in name}
