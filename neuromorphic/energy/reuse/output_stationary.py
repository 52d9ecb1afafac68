"""Output-stationary: a result gathers its terms in a register and leaves it when it is complete (ShiDianNao-like).

    partial sums     none;  results are written once
    right            pairs reads
    left             pairs reads; spikes: all terms, since each result looks at all of its bits to find the ones
    biases           one read for each addition;  membranes read and written at every step
"""

from neuromorphic.energy.reuse.traffic import ReuseModel, gathered

OUTPUT_STATIONARY = ReuseModel(
    "output_stationary", "a result stays in its register until it is complete, nothing else is kept", gathered
)
