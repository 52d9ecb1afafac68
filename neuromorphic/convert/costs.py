"""What a converted network costs beside the ANN that it came from: energy by the same rules, bytes."""

import resource

from torch import Tensor, nn

from neuromorphic import energy
from neuromorphic.convert.prepare import Prepared
from neuromorphic.convert.record import Energy
from neuromorphic.ledger import Ledger
from neuromorphic.trace import trace
from spikeattn.models.converted import ConvertedModel

PROFILES = ("horowitz45_fp32", "horowitz45_int8_acc32")  # fp32 and int8 of the ANN, in this order


class Named(nn.Module):
    """A graph that takes its inputs by name."""

    def __init__(self, graph: nn.Module):
        super().__init__()
        self.graph = graph

    def forward(self, **inputs: Tensor) -> Tensor:
        return self.graph(inputs)


def ledgers(prepared: Prepared, model: ConvertedModel) -> tuple[Ledger, Ledger]:
    """(of the converted network on spikes, of the ANN) on the first batch that sites are shown on."""
    inputs = dict(next(iter(prepared.shown)).inputs)
    return trace(model, inputs), trace(Named(prepared.graph).eval(), inputs)


def energies(snn: Ledger, ann: Ledger) -> tuple[Energy, ...]:
    """Under the prices of either profile, with both of the ANN's precisions beside it."""
    fp32, int8 = (energy.price(ann, name).total_mj for name in PROFILES)
    bills = [energy.price(snn, name) for name in PROFILES]
    return tuple(Energy(bill.profile.name, bill.total_mj, fp32, int8, bill.lower_bound) for bill in bills)


def disk_bytes(prepared: Prepared, model: ConvertedModel) -> dict[str, int]:
    """Weights as they are saved."""
    return {"ann": _bytes(prepared.source.model), "snn": _bytes(model)}


def _bytes(model: nn.Module) -> int:
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())


def peak_memory_bytes() -> int:
    """Most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


__all__ = ["disk_bytes", "energies", "ledgers", "peak_memory_bytes"]
