"""The one loop over time.

    s[t], state[t] = step(x[t], state[t-1])        t = 0 ... T-1

The loop is plain Python. Only while a model is exported with a symbolic number of time steps does PyTorch's
scan operator take its place, so that one exported program serves every T.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from spikeattn.types import State, flatten_state, unflatten_state

Step = Callable[[Tensor, State], tuple[Tensor, State]]


def scan(step: Step, x: Tensor, state: State) -> tuple[Tensor, State]:
    """Run `step` over axis 0 of x; returns the outputs stacked along time and the last state.

    x: (T, ...), T >= 1. `state` must have begun (no None inside).

    >>> total = lambda x, v: (v + x, v + x)
    >>> scan(total, torch.tensor([1., 2., 3.]), torch.tensor(0.))[0]
    tensor([1., 3., 6.])
    """
    if torch.compiler.is_exporting() and isinstance(x.shape[0], torch.SymInt):
        return _exported_scan(step, x, state)
    if x.shape[0] == 0:
        raise ValueError("scan: the input must have at least one time step, got T = 0. Pass x of shape (T, ...).")
    outputs = []
    for x_t in x.unbind(0):
        output, state = step(x_t, state)
        outputs.append(output)
    return torch.stack(outputs), state


def _exported_scan(step: Step, x: Tensor, state: State) -> tuple[Tensor, State]:
    from torch._higher_order_ops.scan import scan as scan_operator

    def combine(carry: dict[str, Tensor], x_t: Tensor):
        output, after = step(x_t, unflatten_state(state, carry))
        # the operator refuses outputs that alias each other or its inputs
        return {name: value.clone() for name, value in flatten_state(after).items()}, output.clone()

    carry, outputs = scan_operator(combine, flatten_state(state), x)
    return outputs, unflatten_state(state, carry)
