"""A neuromorphic chip that is priced per synapse served and per neuron advanced, whatever happens inside.

    E = E_synop * events + E_update * neurons * T          (keras-spiking's ModelEnergy has the same two terms)

    events   accumulates that spikes cause against stored weights; neurons * T from what each layer emitted

Products that such a chip has no synapses for (two spike operands, real inputs) keep their own class of operation
and, without a price for it, make the total a lower bound. So does the traffic of spikes between cores: a ledger
knows no placement.
"""

from neuromorphic.energy.bill import Line, Profile, Rule
from neuromorphic.energy.models.model import EnergyModel, Lines, emissions_of
from neuromorphic.energy.models.operations import ann_row_lines, operation_lines
from neuromorphic.ledger import Ledger


def _lines(ledger: Ledger, profile: Profile, rule: Rule) -> Lines:
    emissions, found = emissions_of(ledger), []
    for row in ledger.rows:
        emission = emissions.get((row.scope, row.call)) if row.op == "neuron" else None
        if emission:
            price = profile.pj("NEURON_UPDATE")
            found.append(Line(row.scope, row.op, "NEURON_UPDATE", emission.numel, price))
            continue
        weighted = row.op in ("linear", "conv")
        for line in operation_lines(row, profile, rule, ledger.model.timesteps):
            served = weighted and line.operation == "AC"
            found.append(Line(row.scope, row.op, "SYNOP", line.count, profile.pj("SYNOP")) if served else line)
    return tuple(found)


def _ann_lines(ledger: Ledger, profile: Profile) -> Lines:
    return tuple(line for row in ledger.rows for line in ann_row_lines(row, profile))


CHIP = EnergyModel("chip", _lines, _ann_lines)
