"""Models of other libraries: everything they run is counted, and the integers are those of a hand count."""

import contextlib

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from neuromorphic import energy, trace
from neuromorphic.energy.rule import classify

MODES = {
    "grad": contextlib.nullcontext,
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}
B, N, D, HEADS, MLP = 2, 8, 32, 4, 64


def by_layer(ledger) -> dict[tuple, dict[str, int]]:
    """Operations of each class of every row."""
    rule = energy.Rule()
    return {(row.scope, row.op, row.call): classify(row, rule, ledger.model.timesteps) for row in ledger.rows}


def total(ledger, scope: str, *names: str) -> int:
    return sum(n for (at, _, _), counts in by_layer(ledger).items() if at.startswith(scope)
               for name, n in counts.items() if name in names)


def same_in_every_mode(build, *args, **options):
    """The ledger of a model built and traced under each mode; its classes per layer must not differ."""
    ledgers = {}
    for name, mode in MODES.items():
        with mode():
            torch.manual_seed(0)
            ledgers[name] = trace(build(), *args, **options)
    first = ledgers["grad"]
    for ledger in ledgers.values():
        assert not ledger.coverage.uncovered
        assert by_layer(ledger) == by_layer(first)
    return first


def attention_macs(tokens: int = N) -> int:
    """Four projections, Q K^T and A V."""
    return B * tokens * 4 * D * D + 2 * B * tokens * tokens * D


def softmax_exps(tokens: int = N) -> int:
    return B * HEADS * tokens * tokens


def test_transformer_encoder_with_padded_keys():
    def build():
        return nn.TransformerEncoder(nn.TransformerEncoderLayer(D, HEADS, MLP, batch_first=True), 2).eval()

    padded = torch.zeros(B, N, dtype=torch.bool)
    padded[1, 5:] = True
    ledger = same_in_every_mode(build, {"src": torch.randn(B, N, D), "src_key_padding_mask": padded})
    assert energy.operation_counts(ledger)["MAC"] == 2 * (attention_macs() + 2 * B * N * D * MLP)
    attention = [(row.op, row.dense) for row in ledger.rows if row.scope == "layers.1.self_attn" and row.dense]
    scores = B * N * N * D
    assert attention == [("linear", B * N * 3 * D * D), ("matmul", scores), ("matmul", scores),
                         ("linear", B * N * D * D)]  # fmt: skip
    assert energy.operation_counts(ledger)["EXP"] == 2 * softmax_exps()
    assert energy.operation_counts(ledger)["SQRT"] == 2 * 2 * B * N  # two norms in each layer
    assert total(ledger, "layers.0.linear1", "MAC") == B * N * D * MLP


def test_transformer_of_encoder_and_decoder():
    source, target = torch.randn(B, 6, D), torch.randn(B, N, D)
    ledger = same_in_every_mode(lambda: nn.Transformer(D, HEADS, 1, 1, MLP, batch_first=True).eval(),
                                (source, target), positional=True)  # fmt: skip
    cross = B * D * D * (N + 2 * 6 + N) + 2 * B * N * 6 * D
    mlps = 2 * B * (6 + N) * D * MLP
    assert energy.operation_counts(ledger)["MAC"] == attention_macs(6) + attention_macs(N) + cross + mlps


def test_multihead_attention():
    x = torch.randn(B, N, D)
    mha = nn.MultiheadAttention(D, HEADS, batch_first=True).eval()
    ledger = same_in_every_mode(lambda: mha, [(x, x, x)], positional=True)  # weights wanted: no fused attention
    assert energy.operation_counts(ledger)["MAC"] == attention_macs()
    fused = same_in_every_mode(lambda: mha, {"query": x, "key": x, "value": x, "need_weights": False})
    assert energy.operation_counts(fused)["MAC"] == attention_macs()
    assert energy.operation_counts(fused)["EXP"] == energy.operation_counts(ledger)["EXP"] == softmax_exps()


class Attention(nn.Module):
    """As in timm: fused qkv, fused attention."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(D, 3 * D), nn.Linear(D, D)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).reshape(x.shape[0], x.shape[1], 3, 4, 8).permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        return self.proj(out.transpose(1, 2).flatten(2))


class ViT(nn.Module):
    """Patches, a class token, one block before a norm, a head."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, D, 8, stride=8)
        self.token, self.position = nn.Parameter(torch.zeros(1, 1, D)), nn.Parameter(torch.randn(1, 17, D))
        self.norm1, self.attn = nn.LayerNorm(D), Attention()
        self.norm2, self.mlp = nn.LayerNorm(D), nn.Sequential(nn.Linear(D, MLP), nn.GELU(), nn.Linear(MLP, D))
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        x = x + self.attn(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(self.norm(x)[:, 0])


def test_vision_transformer():
    tokens = 17
    ledger = same_in_every_mode(ViT, torch.randn(B, 3, 32, 32))
    counts = energy.operation_counts(ledger)
    patches = B * 16 * D * 3 * 8 * 8
    assert counts["MAC"] == patches + attention_macs(tokens) + 2 * B * tokens * D * MLP + B * D * 10
    assert counts["EXP"] == softmax_exps(tokens) and counts["ERF"] == B * tokens * MLP
    assert total(ledger, "attn", "MAC") == attention_macs(tokens)
    assert counts["SQRT"] == 3 * B * tokens


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_bert(attention):
    transformers = pytest.importorskip("transformers")

    def build():
        config = transformers.BertConfig(
            hidden_size=D, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=MLP, vocab_size=50,
            max_position_embeddings=16, attn_implementation=attention,
        )  # fmt: skip
        return transformers.BertModel(config).eval()

    mask = torch.ones(B, N, dtype=torch.long)
    mask[1, 5:] = 0
    ledger = same_in_every_mode(build, {"input_ids": torch.arange(B * N).view(B, N), "attention_mask": mask})
    counts = energy.operation_counts(ledger)
    assert counts["MAC"] == 2 * (attention_macs() + 2 * B * N * D * MLP) + B * D * D  # and the pooler
    products = [row.op for row in ledger.rows if row.scope == "encoder.layer.0.attention.self" and row.dense]
    assert products == ["matmul", "matmul"]
    assert counts["EXP"] == 2 * softmax_exps() + B * D  # tanh of the pooler
    assert counts["ERF"] == 2 * B * N * MLP and counts["SQRT"] == B * N * (1 + 2 * 2)
    assert (ledger.model.name, ledger.samples) == ("BertModel", B)


def test_a_classifier_knows_its_accuracy():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(hidden_size=D, num_hidden_layers=1, num_attention_heads=HEADS,
                                     intermediate_size=MLP, vocab_size=50, num_labels=3)  # fmt: skip
    model = transformers.BertForSequenceClassification(config).eval()
    ids = torch.arange(B * N).view(B, N)
    right = model(input_ids=ids).logits.argmax(-1)
    ledger = trace(model, [{"input_ids": ids, "labels": right}, {"input_ids": ids, "labels": (right + 1) % 3}])
    assert (ledger.model.labelled, ledger.model.correct) == (4, 2)
    assert not any(t.op.startswith("aten::nll") for t in ledger.coverage.counted + ledger.coverage.uncovered)


def test_samples_of_named_inputs_add_up():
    encoder = nn.TransformerEncoderLayer(D, HEADS, MLP, batch_first=True).eval()
    padded = torch.zeros(B, N, dtype=torch.bool)
    padded[1, 5:] = True
    batch = {"src": torch.randn(B, N, D), "src_key_padding_mask": padded}
    whole, parts = trace(encoder, batch), trace(encoder, batch, per_sample=True)
    assert len(parts.per_sample) == B and parts.samples == B
    assert by_layer(parts) == by_layer(whole)


class Fourier(nn.Module):
    """Mixes tokens by a filter in the frequency domain."""

    def __init__(self):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(N // 2 + 1, D, 2))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(x, dim=1) * torch.view_as_complex(self.filter)
        return torch.fft.irfft(spectrum, n=N, dim=1)


@pytest.mark.parametrize("mode", ["grad", "no_grad", "inference"])
def test_fourier_mixing(mode):
    with MODES[mode]():
        ledger = trace(Fourier(), torch.randn(B, N, D))
    butterflies = 2 * B * D * (N // 4) * 3  # there and back, N / 4 log2 N each
    spectrum = B * D * (N // 2 + 1)
    assert energy.operation_counts(ledger) == {"BUTTERFLY": butterflies, "MUL": 4 * spectrum, "ADD": 2 * spectrum}
    assert not ledger.coverage.uncovered


def lively(model: nn.Module, x: Tensor) -> nn.Module:
    """Norms with the statistics of a batch, scaled up until every layer fires."""
    norms = [module for module in model.modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    for norm in norms:
        nn.init.constant_(norm.weight, 2.0)
        nn.init.constant_(norm.bias, 0.5)
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(x)
    return model.eval()


def test_spikformer_of_spikingjelly():
    pytest.importorskip("h5py")
    models = pytest.importorskip("spikingjelly.activation_based.model.spikformer")
    torch.manual_seed(0)
    images = torch.rand(B, 3, 16, 16)
    model = lively(models.Spikformer(T=4, img_size_h=16, img_size_w=16, patch_size=4, num_classes=10, embed_dims=D,
                                     num_heads=HEADS, depths=1), images)  # fmt: skip
    ledger = trace(model, images)
    assert ledger.model.timesteps == 4 and not ledger.coverage.uncovered and not ledger.model.unfed_norms
    assert all(0 < sum(e.positive) < e.numel for e in ledger.emissions), [(e.scope, e.rate) for e in ledger.emissions]
    rows = {(row.scope, row.op, row.call): row for row in ledger.rows}
    tokens = 16
    first = rows["patch_embed.stages.0.conv_bn.block.0", "conv", 0]
    assert first.reads_input and first.left.kind == "real" and first.dense == 4 * B * (3 * 16 - 2) ** 2 * 3 * 4
    for call in (0, 1):  # (V K^T) Q, linear in the tokens
        assert rows["blocks.0.attn", "matmul", call].dense == 4 * B * tokens * D * (D // HEADS)
    assert rows["blocks.0.attn", "matmul", 0].left.kind == rows["blocks.0.attn", "matmul", 0].right.kind == "binary"
    (hidden,) = (e for e in ledger.emissions if e.scope == "blocks.0.mlp.neuron1")
    fc2 = rows["blocks.0.mlp.fc2.0", "conv", 0]
    assert fc2.left_events == sum(hidden.positive) * D and fc2.left.nonzero_per_step == hidden.positive
    neurons = [row for row in ledger.rows if row.op == "neuron"]
    assert sum(row.counts["CMP"] for row in neurons) == sum(e.numel for e in ledger.emissions)
    for mode in ("no_grad", "inference"):
        with MODES[mode]():
            assert by_layer(trace(model, images)) == by_layer(ledger)


class SnnMLP(nn.Module):
    """As in the tutorials of snnTorch: the membranes are handed on in a loop over time."""

    def __init__(self):
        super().__init__()
        snn = pytest.importorskip("snntorch")
        self.fc1, self.lif1 = nn.Linear(12, 20), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(20, 5), snn.Leaky(beta=0.5)

    def forward(self, x: Tensor) -> Tensor:
        v1, v2, spikes = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for _ in range(3):
            s1, v1 = self.lif1(self.fc1(x), v1)
            s2, v2 = self.lif2(self.fc2(s1), v2)
            spikes.append(s2)
        return torch.stack(spikes)


@pytest.mark.parametrize("mode", ["grad", "no_grad", "inference"])
def test_snntorch_mlp(mode):
    x = torch.rand(B, 12, generator=torch.Generator().manual_seed(0)) * 4
    with MODES[mode]():
        torch.manual_seed(0)
        ledger = trace(SnnMLP(), x)
    assert not ledger.coverage.uncovered
    (fired,) = (e for e in ledger.emissions if e.scope == "lif1")
    spikes = sum(fired.positive)
    assert fired.steps == ledger.model.timesteps == 3 and 0 < spikes < 3 * B * 20
    assert energy.operation_counts(ledger) == {
        "MAC": 3 * B * 12 * 20,
        "AC": spikes * 5,
        "ADD": 3 * B * (20 + 5) * 3,  # biases, charge, reset by subtraction
        "MUL": 3 * B * 20, "SHIFT": 3 * B * 5, "CMP": 3 * B * 25,
    }  # fmt: skip


def mix(x: Tensor, y: Tensor) -> Tensor:
    return functional.gelu(x @ y).softmax(-1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", ["compiled", "scripted"])
def test_a_compiled_or_scripted_function_is_counted_like_the_eager_one(how):
    x, y = torch.randn(2, 3, 4), torch.randn(2, 4, 5)

    class Eager(nn.Module):
        def forward(self, x, y):
            return mix(x, y)

    function = torch.compile(mix, backend="eager") if how == "compiled" else torch.jit.script(mix)
    ours, theirs = (trace(model, (x, y), positional=True) for model in (Eager(), function))
    assert by_layer(theirs) == by_layer(ours) and not theirs.coverage.uncovered
    assert energy.operation_counts(theirs)["MAC"] == 2 * 3 * 4 * 5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_vision_transformer_is_counted_like_the_eager_one():
    model, x = ViT().eval(), torch.randn(B, 3, 32, 32)
    eager, scripted = trace(model, x), trace(torch.jit.script(model), x)
    assert energy.operation_counts(scripted) == energy.operation_counts(eager)
    assert not scripted.coverage.uncovered


def test_the_method_of_a_module_knows_its_weights():
    model, x = ViT().eval(), torch.randn(B, 3, 32, 32)
    assert energy.operation_counts(trace(model.forward, x)) == energy.operation_counts(trace(model, x))


class Detour(nn.Module):
    """Hands its work to NumPy."""

    def forward(self, x: Tensor) -> Tensor:
        product = x.numpy() @ x.numpy().swapaxes(-1, -2)
        return torch.from_numpy(product)


class Return(Detour):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x


@pytest.mark.parametrize("build", [Detour, Return])
def test_work_outside_of_pytorch_is_uncovered(build):
    ledger = trace(build(), torch.rand(2, 4, 4))
    assert [(t.op, t.numel) for t in ledger.coverage.uncovered] == [("outside of PyTorch", 32)]
    assert ledger.coverage.fraction < 1


def test_an_exported_model_is_counted_like_the_eager_one():
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval(), torch.rand(2, 3, 6, 6)
    exported = torch.export.export(model, (x,)).module()
    assert energy.operation_counts(trace(exported, x)) == energy.operation_counts(trace(model, x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_weights_frozen_into_a_script_are_not_taken_for_weights():
    frozen = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()))
    ledger = trace(frozen, torch.rand(2, 3, 6, 6))
    assert "aten::convolution" in [t.op for t in ledger.coverage.uncovered] and ledger.coverage.fraction < 1


def test_an_opaque_operation_is_named():
    ledger = trace(nn.LSTM(8, 4, batch_first=True), torch.rand(2, 5, 8))
    assert [t.op for t in ledger.coverage.uncovered] == ["aten::mkldnn_rnn_layer"]
