"""By how much an energy moves when one assumption does: firing rate, time steps, profile, accounting.

    firing rate * alpha     one-sided counts, emissions * alpha; coincidences * alpha^2; no density above 1
    T                       run again where the model takes any T, else extrapolated: rates as they were, and
                            everything that ran at every step * T' / T
    profile, reuse model, accounting        the same ledger priced again

`vary` moves each of them in turn: what a report keeps, and its tornado draws.

What the firing rate moves: binary, ternary, scaled and graded operands and what the neurons emit. It does not move
the model's own input, real values, Shiftmax weights, neuron updates. The sum of spikes (graded) is taken as
linear too, which it is while spikes are few.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from torch import nn

from neuromorphic.energy.bill import Bill, Profile, Rule
from neuromorphic.energy.price import plain_bill, price
from neuromorphic.energy.profile import load_profile, profiles
from neuromorphic.energy.reuse import REUSE
from neuromorphic.energy.rule import SUMS
from neuromorphic.ledger import SPIKES, Emission, Ledger, Operand, Row
from neuromorphic.trace import each_batch, trace

ALPHAS = (0.1, 0.2, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
TIMESTEPS = (1, 2, 4, 8)
DRIVEN = (*SPIKES, "graded")


@dataclass(frozen=True)
class Variation:
    """One assumption changed, all others kept.

    what: "firing rate", "T", "profile", "reuse" or another field of `Rule`; setting: its value, such as 0.5, 8,
        "step_mem", "ideal", "once".
    total_mj, ann_mj: per sample, of the model and of its products as a dense ANN at one step, at the same prices.
    lower_bound: something that ran is not in total_mj. extrapolated: computed from another run, not run.
    """

    what: str
    setting: float | str
    total_mj: float
    ann_mj: float
    lower_bound: bool
    extrapolated: bool = False

    @property
    def ratio(self) -> float | None:
        return self.total_mj / self.ann_mj if self.ann_mj else None


def vary(
    ledger: Ledger,
    profile: Profile | str | Path,
    rule: Rule = Rule(),  # noqa: B008
    *,
    model: nn.Module | None = None,
    inputs: Any = None,
) -> tuple[Variation, ...]:
    """Every assumption that can be moved, one at a time. An ANN has neither firing rate nor T.

    With `model` and `inputs` other T are run (on those inputs, which may be few), else extrapolated. Profiles whose
    formulas need sizes that the ledger lacks are left out.

    >>> from neuromorphic.ledger import ModelInfo, Operand, Row
    >>> row = Row("fc", "linear", geometry=(("in", 8), ("out", 4)),
    ...           left=Operand(8, 4, 0, smallest=1.0, largest=1.0), dense=32, left_events=16)
    >>> found = vary(Ledger(ModelInfo("net", "Net", 32, 1, (8,)), 1, (row,)), "horowitz45_fp32")
    >>> sorted({one.what for one in found})                                 # without a neuron, neither rate nor T
    ['first_conv', 'graded', 'profile', 'reuse', 'shift_accounting', 'spike_spike', 'taps']
    """
    profile = load_profile(profile)
    found = [one for name in profiles() for one in _able(lambda: vary_profile(ledger, rule, [name]))]  # noqa: B023
    if profile.memory and profile.model == "operations":
        found += _able(lambda: vary_reuse(ledger, profile, rule))
    if ledger.emissions:
        steps = sorted({*TIMESTEPS, ledger.model.timesteps})
        found += vary_rate(ledger, profile, rule)
        found += (_stretched(ledger, profile, rule, steps) if model is None else
                  vary_timesteps(model, inputs, profile, rule, steps))
    return (*found, *vary_rule(ledger, profile, rule))


def _able(make: Callable[[], tuple[Variation, ...]]) -> tuple[Variation, ...]:
    """Nothing where the ledger lacks the sizes that a formula needs, or the profile the memories."""
    try:
        return make()
    except ValueError:
        return ()


def _stretched(ledger: Ledger, profile: Profile, rule: Rule, timesteps: Sequence[int]) -> tuple[Variation, ...]:
    own = ledger.model.timesteps
    return tuple(variation("T", T, plain_bill(ledger if own == T else stretch(ledger, T), profile, rule),
                           extrapolated=own != T) for T in timesteps)


def vary_rate(
    ledger: Ledger, profile: Profile | str | Path, rule: Rule = Rule(), alphas: Sequence[float] = ALPHAS  # noqa: B008
) -> tuple[Variation, ...]:
    """The firing rate of every layer times each alpha; all but alpha = 1 are extrapolated.

    >>> from neuromorphic.ledger import ModelInfo
    >>> row = Row("fc", "linear", left=Operand(8, 4, 0, smallest=1.0, largest=1.0), dense=80, left_events=40)
    >>> ledger = Ledger(ModelInfo("net", "Net", 80, 1, (8,)), 1, (row,))
    >>> [round(v.total_mj * 1e9, 6) for v in vary_rate(ledger, "horowitz45_fp32", alphas=(0.5, 1, 2, 3))]
    [18.0, 36.0, 72.0, 72.0]
    """
    if any(alpha < 0 for alpha in alphas):
        raise ValueError(f"vary_rate: alphas must not be negative, got {min(alphas)}. 0.1 to 2 is usual.")
    profile = load_profile(profile)
    return tuple(
        variation("firing rate", alpha, plain_bill(_fired(ledger, alpha), profile, rule), extrapolated=alpha != 1)
        for alpha in alphas
    )


def vary_profile(ledger: Ledger, rule: Rule = Rule(), names: Iterable[str] | None = None) -> tuple[Variation, ...]:  # noqa: B008
    """Every built-in profile, or those named."""
    chosen = profiles() if names is None else names
    return tuple(variation("profile", name, plain_bill(ledger, load_profile(name), rule)) for name in chosen)


def vary_reuse(
    ledger: Ledger, profile: Profile | str | Path, rule: Rule = Rule()  # noqa: B008
) -> tuple[Variation, ...]:
    """Arithmetic alone, then with memory under every reuse model, for the model and its dense ANN alike."""
    profile = load_profile(profile)
    return tuple(
        variation("reuse", name or "compute only", plain_bill(ledger, profile, replace(rule, reuse=name)))
        for name in (None, *REUSE)
    )


def vary_rule(
    ledger: Ledger, profile: Profile | str | Path, rule: Rule = Rule()  # noqa: B008
) -> tuple[Variation, ...]:
    """Every alternative accounting, one at a time (first_conv=once, shift_accounting=shift_only, ...)."""
    bill = price(ledger, profile, rule)
    return tuple(
        replace(variation(*name.split("=", 1), bill), total_mj=mj) for name, mj in bill.alternatives.items()
    )


def vary_timesteps(
    model: nn.Module,
    inputs: Any,
    profile: Profile | str | Path,
    rule: Rule = Rule(),  # noqa: B008
    timesteps: Sequence[int] = TIMESTEPS,
    *,
    batches: int | None = None,
) -> tuple[Variation, ...]:
    """Each T: run where the model takes pictures shown any number of times, else extrapolated from its own T."""
    profile, taken = load_profile(profile), list(islice(each_batch(inputs), batches))
    own = trace(model, taken)
    if not own.emissions:
        raise ValueError(
            f"vary_timesteps: the model must have spiking neurons, got {own.model.class_name} without any. "
            "An ANN runs once, whatever T is."
        )
    found = []
    for T in timesteps:
        run = own if own.model.timesteps == T else _run_at(model, taken, T)
        bill = plain_bill(run or stretch(own, T), profile, rule)
        found.append(variation("T", T, bill, extrapolated=run is None))
    return tuple(found)


def _run_at(model: nn.Module, taken: list, T: int) -> Ledger | None:
    """A model of ours on pictures (B, C, Y, X), each shown T times; None where it does not take that."""
    if not hasattr(getattr(model, "config", None), "timesteps") or any(x.ndim != 4 for x, _ in taken):
        return None
    frames = [(x.unsqueeze(0).expand(T, *x.shape), labels) for x, labels in taken]
    try:
        return trace(model, frames)
    except ValueError:  # such as an attention over chunks of steps, whose length must divide T
        return None


def stretch(ledger: Ledger, timesteps: int) -> Ledger:
    """The ledger as if it had run for other time steps at the rates that it had: an extrapolation.

    Counts need not stay whole.
    """
    if timesteps < 1:
        raise ValueError(f"stretch: timesteps must be at least 1, got {timesteps}. T = 1 is a single step.")
    T, factor = ledger.model.timesteps, timesteps / ledger.model.timesteps
    return replace(
        ledger,
        model=replace(ledger.model, timesteps=timesteps),
        rows=tuple(_longer(row, timesteps, factor) if _every_step(row, T) else row for row in ledger.rows),
        emissions=tuple(_emitting_longer(emission, timesteps) for emission in ledger.emissions),
    )


def _every_step(row: Row, T: int) -> bool:
    """Not what runs once: a head after the mean over time, a first layer whose factor T is the rule's.

    At T = 1 that head cannot be told from the rest.
    """
    return row.steps == T and not (row.reads_input and row.steps == 1)


def _longer(row: Row, timesteps: int, factor: float) -> Row:
    return replace(
        row,
        steps=timesteps,
        left=_repeated(row.left, factor),
        right=_repeated(row.right, factor),
        counts={name: n * factor for name, n in row.counts.items()},
        words={name: n * factor for name, n in row.words.items()},
        **{name: getattr(row, name) * factor for name in SUMS},
    )


def _repeated(operand: Operand | None, factor: float) -> Operand | None:
    return operand and replace(operand, numel=operand.numel * factor, positive=operand.positive * factor,
                               negative=operand.negative * factor, nonzero_per_step=())


def _emitting_longer(emission: Emission, timesteps: int) -> Emission:
    """The mean step, so many times."""
    steps = emission.steps
    means = {name: (sum(getattr(emission, name)) / steps,) * timesteps for name in ("positive", "negative", "levels")}
    return replace(emission, numel=emission.numel * timesteps / steps, **means)


def _fired(ledger: Ledger, alpha: float) -> Ledger:
    return replace(ledger, rows=tuple(_row_fired(row, alpha) for row in ledger.rows),
                   emissions=tuple(_emission_fired(emission, alpha) for emission in ledger.emissions))


def _row_fired(row: Row, alpha: float) -> Row:
    if row.reads_input:
        return row
    left, right = _factor(row.left, row.left_events, row, alpha), _factor(row.right, row.right_events, row, alpha)
    events = {"left_events": row.left_events * left, "right_events": row.right_events * right}
    most = min(events.values()) if row.right else events["left_events"]
    return replace(
        row,
        left=_operand_fired(row.left, alpha),
        right=_operand_fired(row.right, alpha),
        coincidence=min(row.coincidence * left * right, most),
        left_units=row.left_units * left,
        right_units=row.right_units * right,
        **events,
    )


def _factor(operand: Operand | None, events: int, row: Row, alpha: float) -> float:
    """What the events of an operand are multiplied by: alpha, up to where every term is an event."""
    if operand is None or operand.kind not in DRIVEN or not events:
        return 1.0
    return min(alpha, row.dense / events)


def _operand_fired(operand: Operand | None, alpha: float) -> Operand | None:
    if operand is None or operand.kind not in DRIVEN or not operand.nonzero:
        return operand
    factor = min(alpha, operand.numel / operand.nonzero)
    return replace(operand, positive=operand.positive * factor, negative=operand.negative * factor,
                   nonzero_per_step=(), declared=operand.kind)  # none left at alpha = 0, yet of the kind it was


def _emission_fired(emission: Emission, alpha: float) -> Emission:
    room = emission.numel / emission.steps
    factors = [min(alpha, room / (p + n)) if p + n else alpha
               for p, n in zip(emission.positive, emission.negative, strict=True)]
    return replace(emission, **{
        name: tuple(value * factor for value, factor in zip(getattr(emission, name), factors, strict=True))
        for name in ("positive", "negative", "levels")
    })  # fmt: skip


def variation(what: str, setting: float | str, bill: Bill, extrapolated: bool = False) -> Variation:
    return Variation(what, setting, bill.total_mj, bill.ann_mj, bill.lower_bound, extrapolated)
