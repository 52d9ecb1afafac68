"""Softmax, and the fused attention that holds one.

    softmax, for each row of n:   n - 1 CMP (maximum), n ADD (subtract it), n EXP, n - 1 ADD, 1 DIV, n MUL
    log-softmax:                  the same without DIV and MUL, with 1 LOG and n ADD
    attention:                    Q K^T, one scaling per score, one ADD per score under a mask, softmax, A V

The weights inside a fused attention are never seen: they are declared real and all non-zero. A causal or masked
attention is charged for every score, since whether a kernel skips them is not visible.
"""

import math

import torch
from torch import Tensor

from neuromorphic.count.call import Call, Counter, scaling
from neuromorphic.count.matmul import product
from neuromorphic.count.measure import nonzeros, units
from neuromorphic.ledger import Kind, Operand, Row
from spikeattn.ops.ternary_matmul import leading_axes


def softmax_row(call: Call, rows: int, n: int) -> Row:
    per_row = {"CMP": n - 1, "ADD": 2 * n - 1, "EXP": n, "DIV": 1, "MUL": n}
    words = {"input": rows * n, "output": rows * n}  # of the map, which a fused attention does not show
    counts = {name: count * rows for name, count in per_row.items()}
    return call.row("softmax", geometry={"n": n}, counts=counts, words=words)


def _count_softmax(call: Call) -> list[Row]:
    x = call["self"]
    n = x.shape[call["dim"]] if x.ndim else 1
    call.facts.declare(call.result, declared="real")
    return [softmax_row(call, x.numel() // n, n)]


def _count_log_softmax(call: Call) -> list[Row]:
    x = call["self"]
    n = x.shape[call["dim"]] if x.ndim else 1
    per_row = {"CMP": n - 1, "ADD": 3 * n - 1, "EXP": n, "LOG": 1}
    counts = {name: count * (x.numel() // n) for name, count in per_row.items()}
    return [call.row("softmax", geometry={"n": n}, counts=counts)]


def hidden_weights_product(call: Call, op: str, kind: Kind, n: int, per_key: Tensor, value: Tensor, steps: int) -> Row:
    """A V, where the weights A (..., N, M) stayed inside a fused operation and V (..., M, d) is seen.

    per_key (..., M): for each key, how many of the n queries give it a non-zero weight.
    """
    v, m, d = call.operand(value), value.shape[-2], value.shape[-1]
    weights = int(per_key.sum())
    return call.row(
        op,
        steps=steps,
        geometry={"k": m, "m": d, "n": n},
        left=Operand(numel=per_key.numel() * n, positive=weights, negative=0, declared=kind),
        right=v,
        dense=value.numel() * n,
        left_events=weights * d,
        right_events=v.nonzero * n,
        coincidence=int((per_key * nonzeros(call.facts.levels(value), -1, v).to(torch.int64)).sum()),
        right_units=units(value, v, v.nonzero) * n,
    )


def _count_attention(call: Call) -> list[Row]:
    query, key, value = call["query"], call["key"], call["value"]
    lead = leading_axes(query, key)
    key, value = key.expand(*lead, *key.shape[-2:]), value.expand(*lead, *value.shape[-2:])
    n, d, m = query.shape[-2], query.shape[-1], key.shape[-2]
    scores = lead.numel() * n * m
    steps = max(call.facts.steps(t) for t in (call["query"], call["key"], call["value"]))
    factor = scaling(call["scale"] or 1 / math.sqrt(d), scores)
    masked = any(call[name] is not None for name in ("attn_mask", "attn_bias"))
    extra = factor | ({"ADD": scores} if masked else {})
    every = torch.full(value.shape[:-1], n, dtype=torch.int64, device=value.device)
    rows = [product(call, query, key.mT)]
    if extra:
        rows.append(call.row("elementwise", steps=steps, counts=extra, words={"input": 0, "output": 0}))
    rows.append(softmax_row(call, lead.numel() * n, m))
    rows.append(hidden_weights_product(call, "matmul", "real", n, every, value, steps))
    return rows


FUSED = ("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention",
         "fused_attention_overrideable")  # fmt: skip

COUNTERS: dict[str, Counter] = {
    "aten::_softmax": _count_softmax,
    "aten::_safe_softmax": _count_softmax,
    "aten::_log_softmax": _count_log_softmax,
    **{f"aten::_scaled_dot_product_{name}": _count_attention for name in FUSED},
}
