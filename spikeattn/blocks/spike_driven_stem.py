"""The stem of the spike-driven transformers: spikes between its stages, a membrane at its end.

    x = pool(neuron(BN(conv3x3 x)))              each stage but the last
    m = pool(BN(conv3x3 x))                      the last stage: the maximum of membranes
    out = m + BN(conv3x3 neuron(m))              position, by a membrane shortcut

Source: the patch splitting of Yao et al., "Spike-driven Transformer" (NeurIPS 2023), `MS_SPS` in its code.
Differs from the code in: its last neuron, which no forward pass uses, is left out.
"""

from torch import Tensor, nn

from spikeattn.attention.projection import SPIKE_POWER
from spikeattn.blocks.stem import ConvNorm, SpikePool, Stage, Stem, StemState


class SpikeDrivenStem(Stem):
    """Convolution, norm, neuron, pool at each stage; the last neuron sits in the residual position stage.

    bias: biases of the stages' convolutions (the position stage has none).
    """

    def __init__(self, in_channels: int, stages: tuple[Stage, ...], *, neuron: nn.Module, bias: bool = False):
        super().__init__(in_channels, stages, bias=bias)
        self.neurons = nn.ModuleList(neuron.clone() for _ in stages[1:])
        self.pools = nn.ModuleList(SpikePool() if down == "pool" else nn.Identity() for _, down in stages)
        self.position, self.position_neuron = ConvNorm(stages[-1][0], stages[-1][0]), neuron.clone()
        self.init_firing()

    def forward(self, x: Tensor, state: StemState | None = None) -> tuple[Tensor, StemState]:
        self.check_input(x)
        before = state or StemState(stages=(None,) * len(self.neurons))
        after = []
        stages = zip(self.convs[:-1], self.neurons, self.pools[:-1], before.stages, strict=True)
        for conv, neuron, pool, stage in stages:
            spikes, stage = neuron(conv(x), stage)
            x = pool(spikes)
            after.append(stage)
        x = self.pools[-1](self.convs[-1](x))
        spikes, position = self.position_neuron(x, before.position)
        return x + self.position(spikes), StemState(tuple(after), position)

    def init_firing(self) -> None:
        for index, conv in enumerate(self.convs):
            conv.init_firing(self.position_neuron.threshold_current, SPIKE_POWER if index else 1.0)
        if self.stages[-1][1] == "pool":
            last = self.convs[-1].norm  # the mean of the maximum of nine unit normals is 1.49: back to about 0
            nn.init.constant_(last.bias, -1.49 * self.position_neuron.threshold_current)
        self.position.init_firing(self.position_neuron.threshold_current, SPIKE_POWER)
