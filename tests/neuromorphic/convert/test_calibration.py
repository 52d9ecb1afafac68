"""One pass of statistics: counts that no order can change, and data that is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neuromorphic.convert.batches import open_data
from neuromorphic.convert.calibration import calibrate, channel_rows
from neuromorphic.convert.histogram import BINS, SMALLEST, Histogram
from spikeattn.converted.graph import Graph, Wire


def token_graph(width=4):
    """Tokens through a linear layer, a ReLU and a mean that ignores nothing."""
    return Graph(("tokens", "attention_mask"), [Wire("fc", nn.Linear(width, 6), ("tokens",)),
                                                Wire("relu", nn.ReLU(), ("fc",))], "relu")  # fmt: skip


def same(a, b):
    return all(torch.equal(x, y) for x, y in ((a.counts, b.counts), (a.exponent, b.exponent), (a.zeros, b.zeros),
                                              (a.low, b.low), (a.high, b.high)))  # fmt: skip


def test_histogram_by_hand():
    """Largest 4 = 256 bins of 1/64: 512 of 1/128 would end just below it."""
    h = Histogram.of(torch.tensor([[4.0], [-0.5], [0.0], [0.015], [0.016]]))
    assert h.width.tolist() == [1 / 64] and h.zeros.tolist() == [1] and h.count == 5
    assert torch.nonzero(h.counts[0]).flatten().tolist() == [0, 1, 32, 256]
    assert (h.low.item(), h.high.item()) == (-0.5, 4.0)
    assert h.mean.item() == pytest.approx(3.531 / 5)


values = st.one_of(st.just(0.0), st.floats(-1e6, 1e6, width=32), st.floats(-(2.0**-10), 2.0**-10, width=32))


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=2, max_size=30), st.data())
def test_any_order_and_any_cut_give_the_same_counts(found, data):
    rows = torch.tensor(found)[:, None]
    cut = data.draw(st.integers(1, len(found) - 1))
    order = torch.tensor(data.draw(st.permutations(range(len(found)))))
    whole = Histogram.of(rows)
    assert same(whole, Histogram.of(rows[:cut]) + Histogram.of(rows[cut:]))
    assert same(whole, Histogram.of(rows[order[cut:]]) + Histogram.of(rows[order[:cut]]))
    width = 2.0 ** whole.exponent.item()
    largest = rows.abs().max().item()
    assert largest < BINS * width and (largest >= BINS * width / 2 or whole.exponent.item() == SMALLEST)
    expected = torch.bincount((rows[rows != 0].abs().double() / width).long(), minlength=BINS)
    assert torch.equal(whole.counts[0], expected)


def test_groups_hold_the_counts_of_their_channels():
    rows = torch.randn(50, 6) * torch.tensor([1.0, 9.0, 0.1, 1.0, 1.0, 30.0])
    heads = Histogram.of(rows).grouped(2)
    assert same(heads, Histogram.of(torch.stack([rows[:, :3].flatten(), rows[:, 3:].flatten()], 1)))
    with pytest.raises(ValueError, match="groups must divide the 6 channels, got 4"):
        Histogram.of(rows).grouped(4)


def test_padding_is_left_out():
    graph, mask = token_graph(), torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]])
    x = torch.randn(3, 3, 4)
    loud = x.clone()
    loud[mask == 0] = 1e6
    found = calibrate(graph, [{"tokens": loud, "attention_mask": mask}], ["fc", "tokens", "relu"])
    assert found["fc"].count == 6 and found["tokens"].max.max() < 10
    expected = graph["fc"](x[mask.bool()])
    assert torch.allclose(found["fc"].mean, expected.double().mean(0), atol=1e-6)
    assert found.range_of("fc") == pytest.approx((expected.min().item(), expected.max().item()), rel=1e-6)
    assert found.range_of("relu")[0] == 0 and list(found.sites) == ["fc", "tokens", "relu"]


def test_channels_of_pictures_are_axis_one():
    x = torch.arange(24.0).view(2, 3, 2, 2)
    assert torch.equal(channel_rows(x, None).amax(0), x.amax((0, 2, 3)))
    assert channel_rows(torch.ones(5, 7), torch.ones(5, 3)).shape == (5, 7)


def test_order_batches_and_padding_do_not_change_the_record():
    graph, lengths = token_graph(), (3, 1, 4, 2, 4, 3)
    items = [torch.randn(n, 4) for n in lengths]

    def batches(order, size):
        for part in (order[i : i + size] for i in range(0, len(order), size)):
            tokens = nn.utils.rnn.pad_sequence([items[i] for i in part], batch_first=True)
            mask = torch.arange(tokens.shape[1]) < torch.tensor([lengths[i] for i in part])[:, None]
            yield {"tokens": tokens, "attention_mask": mask}

    a, b = (calibrate(graph, batches(order, size), ["tokens"]) for order, size in (((0, 1, 2, 3, 4, 5), 2),
                                                                                   ((4, 2, 0, 5, 1, 3), 4)))
    assert same(a["tokens"], b["tokens"]) and a.sha256 == b.sha256 and a.samples == 6
    items[0] = items[0] + 1e-3
    assert calibrate(graph, batches(range(6), 3), ["tokens"]).sha256 != a.sha256


def test_records_add_up_to_one_pass():
    graph, x = token_graph(), torch.randn(6, 3, 4)
    whole = calibrate(graph, [{"tokens": x[:4]}, {"tokens": x[4:]}], ["fc"])
    parts = calibrate(graph, [{"tokens": x[:4]}], ["fc"]) + calibrate(graph, [{"tokens": x[4:]}], ["fc"])
    assert same(whole["fc"], parts["fc"]) and whole.sha256 == parts.sha256 and parts.samples == 6
    with pytest.raises(ValueError, match=r"must watch the same wires, got \['fc', 'relu'\] in one only"):
        whole + calibrate(graph, [{"tokens": x}], ["relu"])


def test_samples_that_were_calibrated_on_are_recognised_in_other_batches():
    x, new = torch.randn(6, 3, 4), torch.randn(2, 3, 4)
    found = calibrate(token_graph(), [{"tokens": x}], ["fc"])
    padded = torch.cat([x[4:], torch.zeros(2, 1, 4)], 1)
    mask = torch.tensor([[1, 1, 1, 0]] * 2)
    assert found.seen([{"tokens": new}, {"tokens": padded, "attention_mask": mask}]) == 2
    assert found.seen(open_data(torch.cat([x, new]), "features", batch_size=3)) == 6


def test_the_network_is_left_as_it_was():
    wires = [Wire("fc", nn.Linear(4, 4), ("tokens",)), Wire("drop", nn.Dropout(0.5), ("fc",))]
    graph = Graph(("tokens",), wires, "drop")
    graph.train()
    graph["fc"].eval()
    seen = []
    found = calibrate(graph, open_data(torch.randn(5, 2, 4), "features", batch_size=2), ["fc", "drop"],
                      lambda *done: seen.append(done))  # fmt: skip
    assert graph.training and graph["drop"].training and not graph["fc"].training
    assert same(found["fc"], found["drop"])  # no dropout while calibrating
    assert seen == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(("batches", "message"), [
    ([], "at least one sample that is not padding, got none"),
    ([{"tokens": torch.zeros(0, 3, 4)}], "at least one sample"),
    ([{"tokens": torch.randn(2, 3, 4), "attention_mask": torch.zeros(2, 3)}], "at least one sample"),
    ([{"tokens": torch.ones(5, 3, 4)}], "must not be constant, got 5 equal samples"),
    ([{"tokens": torch.ones(1, 3, 4)}], "must not be constant"),
    ([{"tokens": torch.full((2, 3, 4), float("nan"))}], "must be finite, got NaN or infinity in 'tokens'"),
    ([{"pixels": torch.randn(2, 3, 4)}], r"inputs must be \['tokens'\].*got \['pixels'\]"),
    ([{"tokens": torch.randn(2, 3, 5)}], r"must fit the network, got tokens \(2, 3, 5\): fc says"),
])  # fmt: skip
def test_unusable_data_is_refused(batches, message):
    with pytest.raises(ValueError, match=message):
        calibrate(token_graph(), batches, ["fc"])


def test_words_outside_the_vocabulary_are_named():
    graph = Graph(("input_ids",), [Wire("words", nn.Embedding(10, 4), ("input_ids",))], "words")
    with pytest.raises(ValueError, match="words says 'index out of range"):
        calibrate(graph, [{"input_ids": torch.tensor([[1, 99]])}], ["words"])


def test_nan_weights_are_found_where_they_show():
    graph = token_graph()
    graph["fc"].weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinity at fc. Look for NaN weights"):
        calibrate(graph, [{"tokens": torch.randn(2, 3, 4)}], ["fc"])


def test_wrong_sites_and_batches():
    with pytest.raises(ValueError, match="a site must be a wire of the network, got 'fcc'. Did you mean fc?"):
        calibrate(token_graph(), [], ["fcc"])
    with pytest.raises(TypeError, match="must be a dictionary of tensors, got list"):
        calibrate(token_graph(), [[1, 2]], ["fc"])
    found = calibrate(token_graph(), [{"tokens": torch.randn(2, 3, 4)}], ["fc"])
    with pytest.raises(ValueError, match="must have been watched, got 'relu'"):
        found["relu"]


def test_outlier_channels_and_silent_wires_are_warned_of():
    graph = Graph(("tokens",), [Wire("off", nn.Linear(8, 2), ("tokens",))], "off")
    nn.init.zeros_(graph["off"].weight)
    nn.init.zeros_(graph["off"].bias)
    x = torch.randn(64, 3, 8)
    calm = calibrate(graph, [{"tokens": x}], ["tokens", "off"])
    assert [(w.where, w.what) for w in calm.warnings] == [("off", "every value was 0 on the calibration data")]
    x[:, :, 5] *= 100
    found = calibrate(graph, [{"tokens": x[:10]}], ["tokens"])
    assert [w.where for w in found.warnings] == ["calibration", "tokens"]
    assert "only 10 samples" in found.warnings[0].what and found.warnings[1].what.startswith("channel 5 reaches")
    assert "one range per channel" in found.warnings[1].what_to_do
