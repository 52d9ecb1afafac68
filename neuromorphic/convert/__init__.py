"""Conversion of trained ANN transformers into spiking ones."""

from neuromorphic.convert.convert import convert, convert_sweep
from neuromorphic.convert.record import ConversionReport
from neuromorphic.convert.settings import Settings

__all__ = ["ConversionReport", "Settings", "convert", "convert_sweep"]
