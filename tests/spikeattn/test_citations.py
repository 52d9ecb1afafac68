"""`spikeattn.citation`: exactly the parts in use, from a file whose keys are all used."""

import re

import pytest
from torch import nn

import spikeattn
from spikeattn.attention import ATTENTIONS
from spikeattn.blocks.layer_scale import LayerScale
from spikeattn.citations import ENTRY, entries, sources_of
from spikeattn.models import FAMILIES
from spikeattn.neurons import NEURONS, ScaledTernarySpike, TernaryLIF
from spikeattn.surrogate import STE, SURROGATES, FastSigmoid

PARTS = [*ATTENTIONS.values(), *NEURONS.values(), *SURROGATES.values(), *(model for model, _ in FAMILIES),
         ScaledTernarySpike, LayerScale]


def keys(model):
    return re.findall(ENTRY, spikeattn.citation(model))


def test_every_part_names_entries_and_every_entry_is_named():
    named = {ENTRY.match(text)[1] for part in PARTS for text in sources_of(part)}
    assert named == entries().keys()


@pytest.mark.parametrize("key", entries())
def test_an_entry_is_whole(key):
    text = entries()[key]
    fields = re.findall(r"^  (\w+) = \{.+\},?$", text, re.MULTILINE)
    assert "title" in fields and len(fields) == len(set(fields)) == len(text.splitlines()) - 2
    assert text.count("{") == text.count("}") and text.endswith("}")
    assert "year" in fields or "howpublished" in fields


@pytest.mark.parametrize("model", [model for model, _ in FAMILIES])
def test_every_family_has_a_source(model):
    assert sources_of(model)


def test_exactly_what_is_in_use():
    tiny = "spikingformer_tiny"
    assert keys(spikeattn.create_model(tiny)) == ["zhou2023spikingformer", "zhou2023spikformer"]
    assert keys(spikeattn.create_model(tiny, attention="bsa", neuron="plif")) == [
        "zhou2023spikingformer", "fang2021plif", "wang2025bsa"]
    assert set(keys(spikeattn.create_model("vit_tiny"))) == {
        "dosovitskiy2021vit", "zhou2023spikingformer", "vaswani2017attention"}


def test_surrogates_count_and_nothing_is_named_twice():
    net = nn.Sequential(TernaryLIF(surrogate=STE(1.0)), TernaryLIF(surrogate=FastSigmoid()))
    assert keys(net) == ["wang2025bsa", "guo2024ternary", "zenke2018superspike"]


def test_a_part_brings_its_own_bibtex():
    class Mine(nn.Module):
        citation = "@misc{me, title = {Mine}}"

    assert spikeattn.citation(Mine()) == "@misc{me, title = {Mine}}\n"


def test_nothing_to_cite_and_what_is_refused():
    class Lost(nn.Module):
        citation = "nobody1999"

    assert spikeattn.citation(nn.Linear(2, 2)) == ""
    with pytest.raises(ValueError, match="must name a key of citations.bib or give BibTeX text, got 'nobody1999'"):
        spikeattn.citation(Lost())
    with pytest.raises(TypeError, match="model must be a module, got str"):
        spikeattn.citation("spikformer_tiny")
