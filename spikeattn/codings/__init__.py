"""Codings: a value as a word of T spikes. One code, one file; this list is the registry and the laws run over it."""

from spikeattn.codings.balanced_ternary import BalancedTernary
from spikeattn.codings.coding import Coding, check_thresholds, decode, quantise_real
from spikeattn.codings.multi_threshold import MultiThreshold
from spikeattn.codings.naf import NonAdjacentForm
from spikeattn.codings.rate import Rate
from spikeattn.codings.signed_binary import SignedBinary
from spikeattn.codings.st_bif import StBif, st_bif_step

DEFAULT = BalancedTernary.name
CODINGS: dict[str, Coding] = {
    coding.name: coding
    for coding in (BalancedTernary(), NonAdjacentForm(), SignedBinary(), Rate(), StBif(), MultiThreshold())
}

__all__ = [
    "CODINGS", "DEFAULT", "BalancedTernary", "Coding", "MultiThreshold", "NonAdjacentForm", "Rate", "SignedBinary",
    "StBif", "check_thresholds", "decode", "quantise_real", "st_bif_step",
]
