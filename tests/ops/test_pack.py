"""Bit planes: exact there and back, and the product of spikes by counting bits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeattn.ops import pack, ternary_matmul, unpack
from spikeattn.ops.pack import packed_matmul


def spikes(*shape, seed=0, low=-1):
    return torch.randint(low, 2, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.int64])
@pytest.mark.parametrize("size", [1, 7, 8, 9, 64, 65])
def test_unpack_inverts_pack(size, dtype):
    x = spikes(3, 2, size).to(dtype)
    planes = pack(x)
    assert planes.magnitude.shape == planes.sign.shape == (3, 2, -(-size // 8))
    back = unpack(planes)
    assert back.dtype == dtype and torch.equal(back, x)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8])
def test_binary_spikes_have_no_sign_plane(dtype):
    x = spikes(3, 13, low=0).to(dtype)
    planes = pack(x)
    assert planes.sign is None and torch.equal(unpack(planes), x) and unpack(planes).dtype == dtype


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=40))
def test_bits_are_where_they_should_be(row):
    planes = pack(torch.tensor(row))
    magnitude = sum(abs(s) << c for c, s in enumerate(row))
    sign = sum((s < 0) << c for c, s in enumerate(row))
    assert int.from_bytes(bytes(planes.magnitude.tolist()), "little") == magnitude
    assert int.from_bytes(bytes(planes.sign.tolist()), "little") == sign


@pytest.mark.parametrize("d", [1, 8, 33, 64])
def test_counting_bits_equals_the_product(d):
    q, k = spikes(2, 5, d), spikes(2, 6, d, seed=1)
    counted = packed_matmul(pack(q), pack(k))
    assert counted.dtype == torch.int32 and torch.equal(counted, ternary_matmul(q, k))
    assert torch.equal(counted.float(), ternary_matmul(q.float(), k.float()))


def test_counting_bits_of_binary_spikes():
    q, k = spikes(5, 11, low=0), spikes(6, 11, seed=1)
    assert torch.equal(packed_matmul(pack(q.bool()), pack(k)), ternary_matmul(q, k))


@pytest.mark.parametrize("call, words", [
    (lambda: pack(torch.tensor([2.0])), "must be -1, 0 or 1"),
    (lambda: pack(torch.tensor([float("nan")])), "must be -1, 0 or 1"),
    (lambda: pack(torch.tensor(1.0)), "Keep the channel axis"),
    (lambda: unpack(pack(torch.ones(8))._replace(size=9)), "9 channels need 2 bytes, got 1"),
    (lambda: packed_matmul(pack(torch.ones(1, 8)), pack(torch.ones(1, 9))), "the same d, got 8 and 9"),
])
def test_errors_say_what_to_do(call, words):
    with pytest.raises(ValueError, match=words):
        call()
