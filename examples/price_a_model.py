"""Count the operations of a spiking transformer and of its ANN twin, and price both."""

import torch

import spikeattn
from neuromorphic import energy, trace

pictures = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
for name in ("spikingformer_tiny", "vit_tiny"):
    model = spikeattn.create_model(name, attention="bsa" if "spiking" in name else None)
    ledger = trace(model, pictures)
    for profile in ("horowitz45_fp32", "horowitz45_int8_acc32"):
        bill = energy.price(ledger, profile)
        print(f"{name:<20} {profile:<24} {bill.total_mj * 1e6:10.1f} nJ per picture")
