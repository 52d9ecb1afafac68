"""From a model and its inputs to a report that leaves nothing out, for our models and for those of others."""

import json
import math

import pytest
import torch
from torch import nn

from neuromorphic import energy, trace
from neuromorphic.report import Report, as_report, examine, facts, read, write
from neuromorphic.report import json as json_view
from neuromorphic.report.examine import digest
from neuromorphic.report.twins import ATTENTION, twins
from neuromorphic.trace import Batch
from spikeattn import create_model, list_models
from spikeattn.neurons import LIF

B, N, D = 3, 6, 16


class Threshold(nn.Module):
    """Spikes where the input is large: a layer whose energy differs from sample to sample."""

    def __init__(self, features: int = 8):
        super().__init__()
        self.fc = nn.Linear(features, 4, bias=False)

    def forward(self, x):
        return self.fc((x > 0.5).float())


def encoder():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(D, 4, 2 * D, batch_first=True), 2), torch.rand(B, N, D), {}


def bert():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(vocab_size=30, hidden_size=D, num_hidden_layers=1, num_attention_heads=4,
                                     intermediate_size=2 * D, max_position_embeddings=N)
    mask = torch.ones(B, N, dtype=torch.long)
    mask[0, 4:] = 0
    return transformers.BertModel(config), {"input_ids": torch.randint(0, 30, (B, N)), "attention_mask": mask}, {}


def spikformer_of_spikingjelly():
    pytest.importorskip("h5py")
    models = pytest.importorskip("spikingjelly.activation_based.model.spikformer")
    model = models.Spikformer(T=2, img_size_h=16, img_size_w=16, patch_size=4, num_classes=10, embed_dims=D,
                              num_heads=4, depths=1)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.constant_(module.weight, 3.0)
    return model, torch.rand(B, 3, 16, 16), {}


class SnnMLP(nn.Module):
    def __init__(self):
        super().__init__()
        snntorch = pytest.importorskip("snntorch")
        self.fc1, self.lif1 = nn.Linear(12, 20), snntorch.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(20, 5), snntorch.Leaky(beta=0.5)

    def forward(self, x):
        v1, v2, spikes = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for _ in range(3):
            s1, v1 = self.lif1(self.fc1(x), v1)
            s2, v2 = self.lif2(self.fc2(s1), v2)
            spikes.append(s2)
        return torch.stack(spikes)


def mlp_of_snntorch():
    return SnnMLP(), 4 * torch.rand(B, 12), {"timesteps": 3}


@pytest.mark.parametrize("build", [encoder, bert, spikformer_of_spikingjelly, mlp_of_snntorch])
def test_a_full_report_of_any_model(build, tmp_path):
    torch.manual_seed(0)
    model, inputs, options = build()
    entry = examine(model.eval(), inputs, label="theirs", **options)
    assert entry.ledger.coverage.fraction == 1.0 and not entry.ledger.coverage.uncovered
    assert not any(bill.unpriced for bill in entry.bills) and all(bill.total_mj > 0 for bill in entry.bills)
    report = Report((entry,))
    files = write(report, tmp_path)
    assert read(files["report.json"].read_text(encoding="utf-8")) == report
    assert {path.name for path in tmp_path.iterdir()} == set(files)
    assert any("training unknown" in warning for warning in facts.warnings(report))
    assert "accuracy not given" in facts.headline(report)


class TestStopping:
    def test_equal_samples_of_a_dense_network_are_two(self):
        entry = examine(nn.Linear(4, 4), torch.randn(9, 4), sensitivity=False)
        assert entry.ledger.samples == 2 and entry.data.count == 9 and entry.spreads[0].constant

    def test_settled_by_hand(self):
        """8 comparisons, and 2 or 4 of 8 inputs that drive 4 weights each: 8 or 16 accumulates, all at 0.9 pJ."""
        x = torch.zeros(200, 8)
        x[::2, :2], x[1::2, :4] = 1, 1
        entry = examine(Threshold(), x, sensitivity=False, profiles=["horowitz45_fp32"])
        spread = entry.spreads[0]
        assert spread.energies_mj[:2] == pytest.approx((14.4e-9, 21.6e-9), rel=1e-9) and not spread.settled
        assert entry.ledger.samples == 200  # never within 1 %: all are taken
        assert math.isclose(spread.statistics.mean, 18e-9, rel_tol=1e-9)

    def test_nearly_equal_samples_stop_at_the_first_look(self):
        x = torch.ones(200, 100)
        x[::2, :1] = 0
        assert examine(Threshold(100), x, sensitivity=False).ledger.samples == 32

    def test_batched(self):
        entry = examine(nn.Linear(4, 4), torch.randn(9, 4), statistics=False, sensitivity=False)
        assert entry.ledger.samples == 9 and entry.spreads == ()
        assert not any("one batch" in warning for warning in facts.warnings(Report((entry,))))  # nothing here spikes

    def test_a_ledger_of_single_samples_brings_its_spread(self):
        ledger = trace(Threshold(), torch.eye(8).cumsum(0), per_sample=True)
        entry, = as_report({"mine": energy.price(ledger, "horowitz45_fp32")}).entries
        spread, = entry.spreads
        assert sorted(spread.energies_mj) == pytest.approx([(4 * k + 8) * 0.9e-9 for k in range(1, 9)], rel=1e-9)
        assert math.isclose(spread.statistics.mean, entry.bills[0].total_mj, rel_tol=1e-9)

    def test_accuracy_is_of_all_samples_offered(self):
        model = nn.Linear(3, 3, bias=False)
        model.weight.data = torch.eye(3)
        labels = torch.tensor([0, 1, 2, 0, 0, 0])
        entry = examine(model, (torch.eye(3).repeat(2, 1), labels), sensitivity=False)
        assert (entry.accuracy, entry.accuracy_samples) == (4 / 6, 6)


class TestBadInput:
    def test_one_batch_only(self):
        model = create_model("spikingformer_tiny")
        x = torch.rand(40, 1, 8, 8)
        one, two = (Report((examine(model, batches, statistics=False, sensitivity=False),))
                    for batches in (x, list(x.split(20))))
        assert any("one batch only (40 sample(s))" in warning for warning in facts.warnings(one))
        assert not any("one batch" in warning for warning in facts.warnings(two))

    def test_nothing_to_trace(self):
        with pytest.raises(ValueError, match="at least one batch"):
            examine(nn.Linear(2, 2), [])

    def test_nan(self):
        with pytest.raises(ValueError, match="inputs must be finite, got 1 NaN"):
            examine(nn.Linear(2, 2), torch.tensor([[1.0, float("nan")]]))

    def test_a_model_that_changes_shape_between_batches(self):
        with pytest.raises(ValueError, match="inputs of the same shape"):
            examine(nn.Conv2d(1, 1, 3), [torch.rand(2, 1, 8, 8), torch.rand(2, 1, 9, 9)], statistics=False)

    @pytest.mark.parametrize("statistics", [True, False])
    def test_a_model_whose_layers_change_shape_from_batch_to_batch(self, statistics):
        class Cropping(nn.Module):
            """Each call looks at one more column of the picture."""

            def __init__(self):
                super().__init__()
                self.conv, self.calls = nn.Conv2d(1, 2, 3), 0

            def forward(self, x):
                self.calls += 1
                return self.conv(x[..., : 4 + self.calls]).sum((2, 3))

        batches = list(torch.rand(4, 1, 9, 9).split(2))
        found = facts.warnings(Report((examine(Cropping(), batches, statistics=statistics, sensitivity=False),)))
        assert any("1 layer(s) did not have the same shape in every batch" in one and "conv" in one for one in found)
        found = facts.warnings(Report((examine(nn.Conv2d(1, 2, 3), batches, statistics=statistics),)))
        assert not any("the same shape" in one for one in found)

    def test_a_label_for_each_sample(self):
        for labels in (torch.tensor([0, 1]), torch.tensor(1)):
            with pytest.raises(ValueError, match="a label for each of its 3 samples, got labels of shape"):
                examine(nn.Linear(3, 3), (torch.eye(3), labels))

    def test_no_prices(self):
        with pytest.raises(ValueError, match="one price profile or more"):
            examine(nn.Linear(3, 3), torch.eye(3), profiles=())

    def test_norms_that_never_saw_a_batch_are_named(self):
        model = create_model("spikingformer_tiny")
        found = facts.warnings(Report((examine(model, torch.rand(2, 1, 8, 8), sensitivity=False),)))
        assert any("8 norm(s) never saw a batch: stem.convs.0.norm, " in warning for warning in found)
        assert any(warning.count(".norm") == 3 and "and 5 more;" in warning for warning in found)
        model.train()
        model(torch.rand(8, 1, 8, 8))
        found = facts.warnings(Report((examine(model, torch.rand(2, 1, 8, 8), sensitivity=False),)))
        assert not any("never saw" in warning for warning in found)
        assert any("training unknown" in warning for warning in found)

    def test_a_loop_over_time_whose_steps_nobody_gave(self):
        class Loop(nn.Module):
            """One step of its neuron after another, as many as it is told."""

            def __init__(self, steps):
                super().__init__()
                self.neuron, self.fc, self.steps = LIF(), nn.Linear(6, 2), steps

            def forward(self, x):
                state, out = None, 0
                for _ in range(self.steps):
                    spikes, state = self.neuron(x[None], state)
                    out = out + self.fc(spikes[0])
                return out

        for steps, told, warned in ((4, None, True), (4, 4, False), (1, None, False)):
            entry = examine(Loop(steps), torch.rand(3, 6), timesteps=told, sensitivity=False)
            found = [one for one in facts.warnings(Report((entry,))) if "ran 4 times in a pass" in one]
            assert bool(found) == warned and all("timesteps=4" in one for one in found)

    def test_silent_layers_are_named(self):
        model = create_model("spikingformer_tiny")
        nn.init.constant_(model.get_submodule("blocks.0.mlp.fc1.norm").weight, 0.0)
        nn.init.constant_(model.get_submodule("blocks.0.mlp.fc1.norm").bias, -9.0)
        silent, = (warning for warning in facts.warnings(
            Report((examine(model, torch.rand(2, 1, 8, 8), sensitivity=False),))) if "silent" in warning)
        assert "under 0.1 %" in silent and "blocks.0.mlp" in silent


def test_the_first_layer_and_the_integers_are_named():
    model = create_model("spikformer_tiny")
    found = " ".join(facts.warnings(Report((examine(model, torch.rand(2, 1, 8, 8), sensitivity=False),))))
    assert "reads the same picture at each of 4 steps: charged at every one the total is" in found
    assert "integers of several levels enter" in found and "unrolled into unit spikes it would be" in found


def test_digest_knows_values_shape_type_and_labels():
    x, labels = torch.arange(6.0), torch.tensor([1, 2])
    batches = [Batch((x.view(2, 3),)), Batch((x.view(3, 2),)), Batch((x.view(2, 3).double(),)),
               Batch((x.view(2, 3),), labels=labels), Batch((x.view(2, 3) + 1,))]
    assert len({digest([batch]) for batch in batches}) == len(batches)
    assert digest([batches[3]]) == digest([Batch((x.clone().view(2, 3),), labels=labels.clone())])


HOSTS = [name for name in list_models("*_tiny") if not name.startswith(("vit", "cat"))]


@pytest.mark.parametrize("name", HOSTS)
def test_every_host_has_twins_that_run(name):
    model = create_model(name)
    config = model.config
    found = {twin.role: twin for twin in twins(model)}
    own = {part.name for part in config.attention}
    assert set(found) == {role for role, attention in ATTENTION.items() if own != {attention}}
    for role, twin in found.items():
        assert twin.model is not None, twin.reason
        images = torch.rand(2, config.in_channels, *config.image_size, generator=torch.Generator().manual_seed(0))
        ledger = trace(twin.model, images)
        assert not ledger.coverage.uncovered and bool(ledger.emissions) == (role == "bsa twin")
        assert ledger.model.timesteps == (config.timesteps if role == "bsa twin" else 1)
        classes = energy.operation_counts(ledger)
        assert {"softmax twin": "EXP", "cat twin": "BUTTERFLY", "bsa twin": "LOD"}[role] in classes


def test_an_ann_and_a_stranger_have_no_twins():
    assert twins(create_model("vit_tiny")) == () and twins(nn.Linear(2, 2)) == ()


def test_the_json_of_a_twin_names_its_model():
    model = create_model("spikingformer_tiny")
    x = torch.rand(2, 1, 8, 8)
    softmax = next(twin for twin in twins(model) if twin.role == "softmax twin")
    entries = (examine(model, x, label="snn", sensitivity=False),
               examine(softmax.model, x, label="ann", role="softmax twin", twin_of="snn", sensitivity=False))
    report = Report(entries)
    shown = json.loads(json_view.render(report))
    assert [entry["role"] for entry in shown["entries"]] == ["model", "softmax twin"]
    assert shown["entries"][1]["twin_of"] == "snn" and shown["baseline"] == "ann"
