"""What every attention promises beyond what every layer does."""

from collections.abc import Sequence

import torch
from torch import Tensor

from spikeattn.attention import Attention
from spikeattn.testing.layer import LayerContract


class AttentionContract(LayerContract):
    """Promises of an attention. Override `make`, with dimensions that equal `dim` and `grid`.

    takes_masks: whether the mechanism can leave keys out.
    """

    dim = 16
    heads = 4
    grid = (2, 4)
    takes_masks = True

    def make(self) -> Attention:
        return super().make()

    def example(self, batch: int) -> Tensor:
        generator = torch.Generator().manual_seed(7)
        shape = (self.steps, batch, self.grid[0] * self.grid[1], self.dim)
        return (torch.rand(shape, generator=generator) < 0.3).float()

    def run(self, layer, x, state=None):
        return layer(x, state, grid=self.grid)

    def bad_inputs(self) -> Sequence[Tensor]:
        x = self.example(1)
        return [x[0], x[0, 0], x[..., 1:], torch.cat([x, x], -1)]

    def test_output_is_shaped_like_the_input(self):
        layer, x = self.prepared(batch=3)
        assert self.run(layer, x)[0].shape == x.shape

    def test_works_in_float64(self):
        layer, x = self.prepared_double(batch=1)
        assert self.run(layer, x)[0].dtype == torch.float64

    @torch.no_grad()
    def test_masked_keys_do_not_matter(self):
        if not self.takes_masks:
            return
        layer, x = self.prepared()
        tokens = x.shape[2]
        mask = torch.ones(tokens, tokens, dtype=torch.bool)
        mask[:, :2] = False
        changed = x.clone()
        changed[:, :, :2] = 1 - x[:, :, :2]
        one, other = (layer(value, grid=self.grid, mask=mask)[0][:, :, 2:] for value in (x, changed))
        assert torch.equal(one, other)
        assert not torch.equal(one, layer(x, grid=self.grid)[0][:, :, 2:]), "the mask changed nothing"

    def test_heads_that_do_not_divide_are_refused(self):
        try:
            type(self.make())(self.dim, self.heads + 1)
        except ValueError as error:
            assert str(self.heads) in str(error), "the message names head counts that divide"
        else:
            raise AssertionError(f"{self.heads + 1} heads for {self.dim} channels were accepted")
