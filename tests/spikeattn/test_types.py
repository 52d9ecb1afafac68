"""States: names, round trips, detaching."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from spikeattn.types import NeuronCost, detach_state, flatten_state, map_state, unflatten_state


class Leaf(NamedTuple):
    v: Tensor


class Tree(NamedTuple):
    stem: Leaf | None
    blocks: tuple


def tree():
    v = [torch.full((2,), float(i), requires_grad=True) for i in range(3)]
    return Tree(Leaf(v[0]), (Leaf(v[1]), None, (v[2], Leaf(None))))


def test_names_are_dotted_paths():
    assert list(flatten_state(tree())) == ["stem.v", "blocks.0.v", "blocks.2.0"]
    assert flatten_state(None) == {}
    assert list(flatten_state(torch.zeros(1), "alone")) == ["alone"]


def test_round_trip_keeps_types_and_tensors():
    state = tree()
    again = unflatten_state(state, flatten_state(state))
    assert again == state
    assert type(again) is Tree and type(again.blocks[0]) is Leaf and type(again.blocks[2]) is tuple


def test_unflatten_takes_new_tensors_by_name():
    flat = {name: value.detach() + 10 for name, value in reversed(flatten_state(tree()).items())}
    assert unflatten_state(tree(), flat).stem.v.tolist() == [10, 10]
    assert unflatten_state(tree(), flat).blocks[2][0].tolist() == [12, 12]


def test_other_names_are_refused():
    flat = flatten_state(tree())
    flat["blocks.1.v"] = flat.pop("blocks.0.v")
    with pytest.raises(ValueError, match=r"missing \['blocks.0.v'\], unexpected \['blocks.1.v'\]\. Pass"):
        unflatten_state(tree(), flat)


def test_detach_cuts_every_tensor():
    assert all(value.requires_grad for value in flatten_state(tree()).values())
    assert not any(value.requires_grad for value in flatten_state(detach_state(tree())).values())
    assert detach_state(None) is None


def test_map_keeps_what_is_no_tensor():
    assert map_state(torch.neg, tree()).blocks[1] is None
    assert map_state(torch.neg, tree()).stem.v.tolist() == [0, 0]


def test_cost_is_a_frozen_record():
    cost = NeuronCost(leak="shift", compares=1, reset="hard")
    assert cost.state_words == 1
    with pytest.raises(AttributeError):
        cost.compares = 2
