"""Published tables by the conventions of their papers: the layer fixture, the identities, the totals."""

import json
from pathlib import Path

import pytest

from neuromorphic import energy
from neuromorphic.energy import CONVENTIONS, LayerRate, first_convolution, published
from neuromorphic.energy.conventions import KINDS
from neuromorphic.report import Entry, Report, read, render_json
