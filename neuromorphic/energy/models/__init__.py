"""Energy models: how a ledger becomes priced lines. One published model, one file; a profile names its own."""

from neuromorphic.energy.models.chip import CHIP
from neuromorphic.energy.models.lemaire_qualia import LEMAIRE_QUALIA
from neuromorphic.energy.models.lemaire_sj import LEMAIRE_SJ
from neuromorphic.energy.models.model import EnergyModel
from neuromorphic.energy.models.operations import OPERATIONS
from neuromorphic.energy.models.words import WORDS

MODELS: dict[str, EnergyModel] = {
    model.name: model for model in (OPERATIONS, CHIP, WORDS, LEMAIRE_QUALIA, LEMAIRE_SJ)
}  # fmt: skip

__all__ = ["MODELS", "EnergyModel"]
