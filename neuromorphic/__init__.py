"""What you do with a model: count what it executes, price it, report it.

    ledger = trace(model, images)                           what ran, in exact integers
    bill = energy.price(ledger, "horowitz45_fp32")          what it costs, in joules
"""

from neuromorphic import energy
from neuromorphic.ledger import Ledger
from neuromorphic.trace import trace, trace_each

__all__ = ["Ledger", "energy", "trace", "trace_each"]
