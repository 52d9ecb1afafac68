"""What every neuron promises beyond what every layer does."""

import json
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.testing import assert_close

from spikeattn.neurons import Neuron
from spikeattn.testing.firing import spiking_layers
from spikeattn.testing.layer import LayerContract, assert_same_state
from spikeattn.types import flatten_state


class NeuronContract(LayerContract):
    """Promises of a neuron. Override `make`; `example` is a current of a few thresholds either way.

    A neuron of another library that cannot be written as plain data says `plain_options = False`, and one whose
    step assigns to itself, which PyTorch's scan operator refuses, says `any_length = False`.
    """

    plain_options = True
    any_length = True

    def make(self) -> Neuron:
        return super().make()

    def example(self, batch: int) -> Tensor:
        generator = torch.Generator().manual_seed(7)
        x = torch.randn(self.steps, batch, 5, 8, generator=generator)
        return 1.5 * self.make().threshold_current * x

    def bad_inputs(self) -> Sequence[Tensor]:
        return [torch.ones(8)]

    def test_it_is_a_spiking_layer(self):
        neuron = self.make()
        assert isinstance(neuron, Neuron)
        assert list(spiking_layers(neuron)) == [""]
        assert neuron.cost is None or neuron.cost.compares >= 1

    @torch.no_grad()
    def test_signed_alphabets_use_both_signs(self):
        neuron, x = self.prepared()
        spikes, _ = neuron(x)
        assert (spikes.min() < 0) == (neuron.alphabet in ("ternary", "signed_graded"))
        assert spikes.max() > 0

    @torch.no_grad()
    def test_forward_is_the_loop_of_steps(self):
        neuron, x = self.prepared_double(batch=2)
        state = neuron.init_state(x[0])
        steps = []
        for x_t in x:
            spikes, state = neuron.step(x_t, state)
            steps.append(spikes)
        whole, end = neuron(x)
        assert torch.equal(whole, torch.stack(steps))
        assert_close(flatten_state(end), flatten_state(state), rtol=1e-10, atol=1e-10)

    @torch.no_grad()
    def test_threshold_current_just_fires(self):
        neuron = self.make().double()
        current = torch.tensor([0.99, 1.01], dtype=torch.float64) * neuron.threshold_current
        spikes, _ = neuron(current.view(1, 1, 2))
        assert spikes[0, 0, 1] > 0
        if "graded" not in neuron.alphabet:  # integer neurons round, so they fire from half a threshold on
            assert spikes[0, 0, 0] == 0

    @torch.no_grad()
    def test_any_shape_and_any_floating_type(self):
        neuron, _ = self.prepared()
        for dtype in (torch.float64, torch.bfloat16):
            for shape in ((1, 1), (3, 1, 2), (2, 2, 1, 3, 1)):
                x = 2 * neuron.threshold_current * torch.ones(shape, dtype=dtype)
                spikes, state = neuron(x)
                assert spikes.shape == x.shape and spikes.dtype == dtype
                assert spikes.max() > 0
                assert_same_state(state, neuron(x)[1])

    def test_integer_currents_are_refused(self):
        try:
            self.make()(torch.ones(2, 3, dtype=torch.int64))
        except TypeError as error:
            assert "float" in str(error)
        else:
            raise AssertionError("an integer current was accepted")

    @torch.no_grad()
    def test_options_and_clone_rebuild_it(self):
        neuron, x = self.prepared()
        copies = [neuron.clone()]
        if self.plain_options:
            copies.append(type(neuron)(**json.loads(json.dumps(neuron.options()))))
        for copy in copies:
            assert copy is not neuron and type(copy) is type(neuron)
            assert torch.equal(neuron(x)[0], copy(x)[0])
            assert not {id(p) for p in neuron.parameters()} & {id(p) for p in copy.parameters()}
        lower = neuron.clone(threshold=0.25)
        assert lower.threshold_current < neuron.threshold_current

    @torch.no_grad()
    def test_exports_with_any_number_of_steps(self):
        if not self.any_length:
            return
        neuron, x = self.prepared()
        steps, batch = torch.export.Dim("steps"), torch.export.Dim("batch")

        class Program(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.neuron = neuron

            def forward(self, x):
                spikes, state = self.neuron(x)
                return spikes, flatten_state(state)

        exported = torch.export.export(Program(), (x,), dynamic_shapes=({0: steps, 1: batch},)).module()
        for shape in ((1, 1), (2, 3), (9, 2)):
            x = 2 * neuron.threshold_current * torch.randn(*shape, 5, 8)
            spikes, state = neuron(x)
            theirs, flat = exported(x)
            assert torch.equal(spikes, theirs)
            assert_close(flat, flatten_state(state), rtol=1e-6, atol=1e-6)
