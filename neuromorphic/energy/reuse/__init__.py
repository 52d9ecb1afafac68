"""Reuse models: how often a word crosses its memory. One model, one file; one model is applied to ANN and SNN alike."""

from neuromorphic.energy.reuse.ideal import IDEAL
from neuromorphic.energy.reuse.none import NONE
from neuromorphic.energy.reuse.output_stationary import OUTPUT_STATIONARY
from neuromorphic.energy.reuse.t_parallel import T_PARALLEL
from neuromorphic.energy.reuse.traffic import Product, ReuseModel, Traffic
from neuromorphic.energy.reuse.weight_stationary import WEIGHT_STATIONARY

REUSE: dict[str, ReuseModel] = {
    model.name: model for model in (NONE, WEIGHT_STATIONARY, OUTPUT_STATIONARY, T_PARALLEL, IDEAL)
}  # fmt: skip

__all__ = ["REUSE", "Product", "ReuseModel", "Traffic"]
