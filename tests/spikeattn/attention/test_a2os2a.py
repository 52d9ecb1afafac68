"""A2OS2A: kinds of its operands, both orders of its product, masks."""

import torch

from spikeattn.attention import AdditionOnlySelfAttention
from spikeattn.testing import recorded_spikes

D, H = 16, 2


@torch.no_grad()
def test_operands_are_binary_rectified_and_ternary():
    torch.manual_seed(0)
    attention = AdditionOnlySelfAttention(D, H)
    x = (torch.rand(4, 8, 12, D) < 0.3).float()
    keys = []
    attention.k_neuron.register_forward_hook(lambda layer, inputs, output: keys.append(output[0]))
    with recorded_spikes(attention) as record:
        attention(x)
    values = {name: set(record[name][0].unique().tolist()) for name in record}
    assert values == {"q_neuron": {0, 1}, "v_neuron": {-1, 0, 1}, "attn_neuron": {0, 1}}
    assert keys[0].min() == 0 and keys[0].unique().numel() > 100


def test_both_orders_agree_and_a_full_mask_changes_nothing():
    attention = AdditionOnlySelfAttention(D, H)
    generator = torch.Generator().manual_seed(0)
    for tokens in (4, 20):  # fewer and more than the 8 channels of a head
        q = torch.randint(0, 2, (1, 1, H, tokens, D // H), generator=generator).double()
        k = torch.randint(0, 9, q.shape, generator=generator).double() / 4
        v = torch.randint(-1, 2, q.shape, generator=generator).double()
        expected = (q @ k.mT) @ v
        assert torch.equal(attention.mix(q, k, v, None), expected)
        assert torch.equal(attention.mix(q, k, v, torch.ones(tokens, tokens, dtype=torch.bool)), expected)
        visible = torch.ones(tokens, tokens, dtype=torch.bool).tril()
        assert torch.equal(attention.mix(q, k, v, visible), (q @ k.mT * visible) @ v)
