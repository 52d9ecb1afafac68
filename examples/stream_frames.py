"""Frame by frame with explicit state: the same logits as the whole sequence at once."""

import torch

import spikeattn

model = spikeattn.create_model("spikingformer_tiny", attention="bsa").double().eval()
frames = torch.randn(6, 2, 1, 8, 8, dtype=torch.float64)  # (T, B, C, Y, X)

with torch.no_grad():
    whole, _ = model.stream(frames)  # (T, B, K)
    state, steps = None, []
    for frame in frames:
        logits, state = model.stream(frame, state)
        steps.append(logits)
difference = (torch.cat(steps) - whole).abs().max().item()
print("largest difference:", difference)
assert difference < 1e-10
