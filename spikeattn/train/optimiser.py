"""The optimiser and its learning rate: AdamW, linear warm-up, cosine."""

import math

import torch
from torch import nn

from spikeattn.train.config import OptimiserSection, ScheduleSection


def adamw(model: nn.Module, options: OptimiserSection) -> torch.optim.AdamW:
    """AdamW that decays matrices and kernels only: norms, biases and neuron scalars keep their size."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    if not trained:
        raise ValueError("adamw: the model must have parameters to train, got none. Unfreeze some.")
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=options.lr,
                             betas=(options.beta1, options.beta2), eps=options.eps, fused=True)


def learning_rate(step: int, steps_per_epoch: int, peak: float, options: ScheduleSection) -> float:
    """The rate of a step, a function of nothing but its number.

        linear from warmup_lr to peak over w steps, then min + (peak - min) (1 + cos(pi s)) / 2,
        s from 0 to 1 over the steps that remain

    >>> schedule = ScheduleSection(epochs=4, warmup_epochs=1, warmup_lr=0.0, min_lr=0.0)
    >>> [learning_rate(step, 2, 1.0, schedule) for step in (0, 1, 2, 7)]
    [0.0, 0.5, 1.0, 0.0]
    """
    total = options.epochs * steps_per_epoch
    warmup = min(round(options.warmup_epochs * steps_per_epoch), total)
    if step < warmup:
        return options.warmup_lr + (peak - options.warmup_lr) * step / warmup
    share = (step - warmup) / max(total - warmup - 1, 1)
    return options.min_lr + (peak - options.min_lr) * (1 + math.cos(math.pi * share)) / 2
