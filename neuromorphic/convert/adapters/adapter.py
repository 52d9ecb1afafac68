"""What an adapter makes of a model, and the walk over the module tree that makes it.

    adapter: model -> Adapted          reads the modules that it knows and writes them down as wires

Nothing is traced. A module counts as read once the adapter has taken it by path and class; whatever remains with
parameters or a forward of its own stops the conversion, by path and type.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikeattn.converted.graph import Graph, Wire

Inputs = Mapping[str, Tensor]
Output = Callable[[nn.Module, Inputs], Tensor]
KNOWN = (
    "BERT, RoBERTa, DistilBERT, ViT, DeiT, GPT-2 (transformers), sentence-transformers directories, VisionTransformer "
    "(timm), nn.TransformerEncoder, nn.MultiheadAttention, vit_* and cat_*, and chains of Linear, Embedding, "
    "LayerNorm, Conv2d, BatchNorm, GELU, ReLU, SiLU, Tanh, Sigmoid, MaxPool2d and Flatten"
)
SILENT = ("Dropout", "Dropout1d", "Dropout2d", "Identity", "DropPath", "PatchDropout", "Dropout3d")


@dataclass(frozen=True)
class Adapted:
    """A model as a graph of float layers, and how to ask the model itself.

    source: the model, untouched. kind: "text" (input_ids), "pictures" (pixels) or "tokens". stem, readout: wires that
    lie outside of the bounds between which the converted network computes on spikes. output(module, inputs): the
    output of the model that the graph reproduces. hybrid: wires that stay in floating point whatever the settings.
    again(module): reads another copy of the model in the same way.
    """

    graph: Graph
    source: nn.Module
    family: str
    kind: str
    stem: tuple[str, ...]
    readout: tuple[str, ...]
    output: Output
    hybrid: tuple[str, ...] = ()
    again: "Callable[[nn.Module], Adapted] | None" = None

    @torch.no_grad()
    def call(self, inputs: Inputs) -> Tensor:
        """What the source model gives for inputs by name, in evaluation mode, its flags left as they were."""
        dtype = next((p.dtype for p in self.source.parameters() if p.is_floating_point()), torch.float32)
        inputs = {name: x.to(dtype) if x.is_floating_point() else x for name, x in inputs.items()}
        with evaluation(self.source):
            return self.output(self.source, inputs)


@contextmanager
def evaluation(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while, torch's fused attention off; every module's flag comes back as it was."""
    training = {part: part.training for part in module.modules()}
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        module.eval()
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for part, flag in training.items():
            part.training = flag


def unknown(path: str, what: nn.Module | str, reason: str = "has no spiking form") -> ValueError:
    """The error for a module that no adapter reads."""
    kind = what if isinstance(what, str) else type(what).__name__
    return ValueError(
        f"convert: {path or 'the model'} ({kind}) {reason}. Known: {KNOWN}. Remove it or register an adapter."
    )


class Walk:
    """A graph in the making: takes modules by path and class, adds wires, and checks that nothing is left.

    inputs: names of the network's inputs, optional ones with a leading "?".
    """

    def __init__(self, model: nn.Module, *inputs: str):
        self.model, self.inputs = model, inputs
        self.wires: list[Wire] = []
        self.stem: list[str] = []
        self.readout: list[str] = []
        self.taken: set[nn.Module] = set()
        self.parameters: set[int] = set()
        first = next((p for p in model.parameters() if p.is_floating_point()), None)
        self.dtype = torch.float64 if first is not None and first.dtype == torch.float64 else torch.float32
        self.device = first.device if first is not None else torch.device("cpu")

    def take(self, path: str, *classes: str) -> nn.Module:
        """The module at `path`, marked as read but for its own parameters; it must be of one of the classes."""
        try:
            module = self.model.get_submodule(path)
        except AttributeError:
            raise unknown(path, "missing", "is not there") from None
        names = {kind.__name__ for kind in type(module).__mro__}
        if classes and not names & set(classes):
            raise unknown(path, module)
        self.taken.add(module)
        return module

    def leaf(self, path: str, *classes: str) -> nn.Module:
        """The module at `path`, read with its parameters; its class must be one of these, not one derived from them."""
        module = self.take(path)
        if type(module).__name__ not in classes:
            raise unknown(path, module)
        self.parameters.update(map(id, module.parameters(recurse=False)))
        return module

    def parameter(self, path: str) -> Tensor | None:
        """A parameter that a container holds itself, in float64, by path."""
        owner, _, name = path.rpartition(".")
        value = getattr(self.model.get_submodule(owner), name)
        self.parameters.add(id(value))
        return doubled(value)

    def leave(self, path: str) -> None:
        """Mark a whole branch as read that has no part in the output."""
        branch = self.model.get_submodule(path)
        self.taken.update(branch.modules())
        self.parameters.update(map(id, branch.parameters()))

    def add(self, name: str, layer: nn.Module, *inputs: str, stem: bool = False, readout: bool = False) -> str:
        """A wire; the name, made free of what modules call their own methods, comes back."""
        name = free(name or "model")
        layer = layer.to(self.device, self.dtype).eval().requires_grad_(False)
        if stem or getattr(layer, "stem", False):
            layer.stem = True
            self.stem.append(name)
        if readout:
            layer.readout = True
            self.readout.append(name)
        self.wires.append(Wire(name, layer, inputs))
        return name

    def linear(self, path: str, source: str, *, name: str | None = None, readout: bool = False) -> str:
        """The nn.Linear at `path` as a wire."""
        return self.add(name or path, linear(*self.affine(path)), source, readout=readout)

    def affine(self, path: str) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the nn.Linear at `path`, in float64."""
        module = self.leaf(path, "Linear", "NonDynamicallyQuantizableLinear")
        return doubled(module.weight), doubled(module.bias)

    def norm(self, path: str, source: str, *, readout: bool = False) -> str:
        """The LayerNorm at `path` as a wire, always with weight and bias."""
        module = self.leaf(path, "LayerNorm")
        if len(module.normalized_shape) != 1:
            raise unknown(path, module, f"must normalise the last axis only, got {tuple(module.normalized_shape)}")
        return self.add(path, layer_norm(module), source, readout=readout)

    def activation(self, path: str, source: str, *, name: str | None = None, readout: bool = False) -> str:
        """The activation at `path` as a wire: a module, or a function that the owner holds as an attribute."""
        owner, _, attribute = path.rpartition(".")
        value = getattr(self.model.get_submodule(owner), attribute)
        layer = activation(value)
        if layer is None:
            raise unknown(path, type(value).__name__ if isinstance(value, nn.Module) else repr_function(value))
        if isinstance(value, nn.Module):
            self.take(path)
        return self.add(name or path, layer, source, readout=readout)

    def finish(self, family: str, kind: str, result: str, output: Output) -> Adapted:
        """The adapted model, once nothing of the source is left unread and something can be converted."""
        self.check_rest()
        convertible = [w for w in self.wires if isinstance(w.layer, (nn.Linear, nn.Conv2d))
                       and w.name not in (*self.stem, *self.readout)]  # fmt: skip
        if not convertible:
            raise unknown("", self.model, "has nothing to convert: no Linear or Conv2d between stem and read-out")
        graph = Graph(tuple(name.removeprefix("?") for name in self.inputs), self.wires, result).eval()
        hybrid = tuple(w.name for w in self.wires if getattr(w.layer, "hybrid", False))
        return Adapted(graph, self.model, family, kind, tuple(self.stem), tuple(self.readout), output, hybrid)

    def check_rest(self) -> None:
        """Raise for the first module or parameter that was not read."""
        for path, module in self.model.named_modules():
            own = dict(module.named_parameters(recurse=False))
            unread = [name for name, value in own.items() if id(value) not in self.parameters]
            if module not in self.taken:
                runs = type(module).forward is not nn.Module.forward and type(module).__name__ not in SILENT
                if unread or runs:
                    raise unknown(path, module)
            elif unread:
                raise unknown(f"{path}.{unread[0]}".removeprefix("."), f"parameter of {type(module).__name__}")


def free(path: str) -> str:
    """A path that can stand in a graph's tree of modules: names that a module uses itself get an underscore.

    >>> free("output"), free("layer.output.dense"), free("layer.half")
    ('output_', 'layer.output.dense', 'layer.half_')
    """
    first, *rest = path.split(".")
    owners = [Graph((), [Wire("_", nn.Identity(), ())], "_"), *[nn.Module()] * len(rest)]
    return ".".join(f"{part}_" if hasattr(owner, part) else part
                    for owner, part in zip(owners, (first, *rest), strict=True))  # fmt: skip


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {  # class or function name: the layer
    **dict.fromkeys(("GELUActivation", "gelu"), nn.GELU),
    **dict.fromkeys(("NewGELUActivation", "GELUTanh", "FastGELUActivation", "AccurateGELUActivation"),
                    lambda: nn.GELU("tanh")),
    **dict.fromkeys(("ReLU", "relu", "relu_"), nn.ReLU),
    **dict.fromkeys(("SiLU", "SiLUActivation", "silu"), nn.SiLU),
    **dict.fromkeys(("Tanh", "tanh"), nn.Tanh),
    **dict.fromkeys(("Sigmoid", "sigmoid"), nn.Sigmoid),
}  # fmt: skip


def activation(value: object) -> nn.Module | None:
    """The layer for an activation, given as a module or a function; None where it is unknown.

    >>> activation(torch.nn.functional.relu), activation(nn.GELU("tanh")), activation(nn.Hardswish())
    (ReLU(), GELU(approximate='tanh'), None)
    """
    name = type(value).__name__ if isinstance(value, nn.Module) else getattr(value, "__name__", "")
    if name == "GELU":
        return nn.GELU(getattr(value, "approximate", "none"))
    return ACTIVATIONS[name]() if name in ACTIVATIONS else None


def repr_function(value: object) -> str:
    """What a function is called, without its address."""
    return f"function {getattr(value, '__name__', type(value).__name__)}"


def doubled(value: Tensor | None) -> Tensor | None:
    """A float64 copy, so that folding is exact to the last digit of the source's type."""
    return None if value is None else value.detach().to(torch.float64, copy=True)


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """nn.Linear with these values."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def conv(module: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """nn.Conv2d like `module` with other values."""
    layer = nn.Conv2d(module.in_channels, module.out_channels, module.kernel_size, module.stride, module.padding,
                      module.dilation, module.groups, bias is not None, module.padding_mode,
                      device=weight.device, dtype=weight.dtype)  # fmt: skip
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def layer_norm(module: nn.LayerNorm) -> nn.LayerNorm:
    """A copy with weight and bias, ones and zeros where the source has none."""
    layer = nn.LayerNorm(module.normalized_shape, module.eps, dtype=torch.float64)
    with torch.no_grad():
        if module.weight is not None:
            layer.weight.copy_(module.weight)
        if getattr(module, "bias", None) is not None:
            layer.bias.copy_(module.bias)
    return layer


def folded(weight: Tensor, bias: Tensor | None, norm: nn.modules.batchnorm._BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias with the batch norm behind them folded in, in float64.

        gain = gamma / sqrt(var + eps)        W' = gain W,   b' = gain (b - mean) + beta

    >>> norm = nn.BatchNorm1d(1).eval()
    >>> norm.running_mean.fill_(2.0), norm.running_var.fill_(4.0 - norm.eps)  # doctest: +ELLIPSIS
    (...)
    >>> weight, bias = folded(torch.tensor([[6.0]]), None, norm)
    >>> round(weight.item(), 6), round(bias.item(), 6)
    (3.0, -1.0)
    """
    gain = (doubled(norm.running_var) + norm.eps).rsqrt()
    shift = -doubled(norm.running_mean) if bias is None else doubled(bias) - doubled(norm.running_mean)
    if norm.affine:
        gain = gain * doubled(norm.weight)
    shift = shift * gain if not norm.affine else shift * gain + doubled(norm.bias)
    return doubled(weight) * gain.reshape(-1, *[1] * (weight.ndim - 1)), shift
