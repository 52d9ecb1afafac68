"""Random, frozen queries and keys: the control that tells what learned scores are worth.

    Q, K  = LIF(BN(W_q x)), LIF(BN(W_k x))       W_q, W_k and their norms' weights as drawn, never trained
    V     = LIF(BN(W_v x))                       trained, as all the rest
    out   = BN(W_o LIF((Q K^T) V * scale))       as in SSA

The frozen tensors are buffers: saved with the model, unseen by optimisers, not counted as parameters. Statistics of
the two norms still follow the data.

Source: the "random" rows of the component study in Fancyssc/STEP (Spikformer on CIFAR-10: 94.96 % against 95.12 %
with learned queries and keys). Our reading: what is random is the projections.
"""

from torch import nn

from spikeattn.attention.ssa import SpikingSelfAttention


class RandomQKAttention(SpikingSelfAttention):
    """SSA that never trains its queries and keys.

    >>> sorted({name.partition(".")[0] for name, _ in RandomQKAttention(dim=8, heads=2).named_parameters()})
    ['proj', 'v']
    """

    citation = "step"

    def build_projections(self, *args, **options) -> None:
        super().build_projections(*args, **options)
        freeze(self.q)
        freeze(self.k)


def freeze(module: nn.Module) -> None:
    """Make every parameter inside `module` a buffer of the same name."""
    for layer in module.modules():
        for name, parameter in list(layer.named_parameters(recurse=False)):
            delattr(layer, name)
            layer.register_buffer(name, parameter.detach())
