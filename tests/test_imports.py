"""Imports point one way, optional packages stay in their files, and importing spikeattn touches nothing heavy."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A room may import the rooms in front of it; rooms on one line do not import each other, except as named below.
SPIKEATTN = (
    ("types", "files", "errors"), ("surrogate",), ("scan",), ("codings",), ("ops",), ("neurons",), ("attention",),
    ("blocks",), ("converted",), ("models",),
    ("citations",),
    ("data", "train", "probes", "interop"), ("testing",),
)
NEUROMORPHIC = (("ledger",), ("count",), ("trace", "measured"), ("energy",), ("export",), ("convert", "runtime"),
                ("report",), ("cli",))
NEIGHBOURS = {("train", "data"), ("probes", "data")}  # data <- train: a recipe names its data set
FORBIDDEN = {("convert", "export"), ("export", "convert")}  # both return records, report renders them, cli joins them

OPTIONAL = {  # package: the files that may import it, inside functions or because only their users load them
    "triton": "spikeattn/ops/*/triton.py", "numba": "spikeattn/ops/*/cpu.py", "onnx": "neuromorphic/export/onnx.py",
    "onnxruntime": "neuromorphic/export/onnx.py", "nir": "neuromorphic/export/nir.py",
    "transformers": "neuromorphic/convert/sources.py", "snntorch": "spikeattn/interop/snntorch.py",
    "spikingjelly": "spikeattn/interop/spikingjelly.py", "sklearn": "spikeattn/data/digits.py",
    "PIL": "spikeattn/data/*.py", "torchvision": None, "pandas": None, "matplotlib": None,
    "timm": "neuromorphic/convert/adapters/timm_checkpoint.py", "pynvml": "neuromorphic/measured.py",
}


@cache
def sources() -> dict[Path, ast.Module]:
    files = sorted((ROOT / "spikeattn").rglob("*.py")) + sorted((ROOT / "neuromorphic").rglob("*.py"))
    return {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def imported(path: Path, tree: ast.Module) -> list[tuple[str, tuple[str, ...]]]:
    """(dotted module, names taken from it) of every import, lazy ones included, relative ones resolved."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.parent.parts[:len(path.parent.parts) + 1 - node.level] if node.level else ()
            module = ".".join((*package, *((node.module or "").split(".") if node.module else ())))
            found.append((module, tuple(alias.name for alias in node.names)))
    return found


def rooms(path: Path, tree: ast.Module, package: str) -> set[str]:
    """Rooms of `package` that the file imports; "" is the package's own front door."""
    entered = set()
    for module, names in imported(path, tree):
        parts = module.split(".")
        if parts[0] != package:
            continue
        if len(parts) > 1:
            entered.add(parts[1])
        else:
            order = SPIKEATTN if package == "spikeattn" else NEUROMORPHIC
            known = {room for line in order for room in line}
            entered |= {name if name in known else "" for name in names if name != "__version__"} or (
                set() if names else {""})
    return entered


def room_of(path: Path) -> str:
    return path.parts[1].removesuffix(".py")


def rank(order, room: str) -> int:
    return next(index for index, line in enumerate(order) if room in line)


@pytest.mark.parametrize(("package", "order"), [("spikeattn", SPIKEATTN), ("neuromorphic", NEUROMORPHIC)])
def test_every_room_has_a_place(package, order):
    known = {room for line in order for room in line}
    present = {room_of(path) for path in sources() if path.parts[0] == package}
    assert present - known <= {"__init__", "__main__"}


@pytest.mark.parametrize(("package", "order"), [("spikeattn", SPIKEATTN), ("neuromorphic", NEUROMORPHIC)])
def test_imports_point_left(package, order):
    wrong, seen = [], 0
    for path, tree in sources().items():
        here = room_of(path)
        if path.parts[0] != package or here in ("__init__", "__main__"):
            continue
        for there in rooms(path, tree, package) - {here}:
            seen += 1
            # the front door re-exports the models
            target = rank(order, there) if there else rank(order, "models" if package == "spikeattn" else "cli")
            allowed = target < rank(order, here) or (here, there) in NEIGHBOURS
            if not allowed or (here, there) in FORBIDDEN:
                wrong.append(f"{path}: {here} imports {there or 'the front door'}")
    assert seen > 5
    assert wrong == []


def test_spikeattn_never_imports_neuromorphic():
    assert [path for path, tree in sources().items()
            if path.parts[0] == "spikeattn" and rooms(path, tree, "neuromorphic")] == []


@pytest.mark.parametrize("package", OPTIONAL)
def test_optional_packages_stay_in_their_file(package):
    allowed = OPTIONAL[package]
    users = [path for path, tree in sources().items()
             if any(module.split(".")[0] == package for module, _ in imported(path, tree))]
    assert [path for path in users if allowed is None or not path.match(allowed)] == []


def test_importing_spikeattn_is_lean():
    # torch looks for triton by itself: what torch alone has loaded is not ours to answer for
    code = (
        "import sys, torch\n"
        "before = set(sys.modules)\n"
        "import spikeattn, spikeattn.testing, spikeattn.interop.snntorch, spikeattn.interop.spikingjelly\n"
        f"print(sorted((set(sys.modules) - before) & set({list(OPTIONAL)!r})))\n"
        "print(torch.cuda.is_initialized(), 'neuromorphic' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.splitlines() == ["[]", "False False"]


def dangers(path: Path, tree: ast.Module) -> list[str]:
    """What unpickles, evaluates text or reads the environment."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            unsafe = keywords.get("weights_only")
            if name in ("eval", "exec", "compile", "__import__", "os.getenv", "os.system"):
                found.append(name)
            if name.endswith(("pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load")):
                found.append(name)
            if name == "torch.load" and not (isinstance(unsafe, ast.Constant) and unsafe.value is True):
                found.append("torch.load without weights_only=True")
            allow = keywords.get("allow_pickle")
            if isinstance(allow, ast.Constant) and allow.value:
                found.append("allow_pickle=True")
        if isinstance(node, ast.Attribute) and node.attr == "environ":
            found.append("os.environ")
    if any(module == "os" and {"environ", "getenv"} & set(names) for module, names in imported(path, tree)):
        found.append("os.environ")
    if any(module.split(".")[0] in ("pickle", "dill", "cloudpickle", "joblib") for module, _ in imported(path, tree)):
        found.append("imports an unpickler")
    return found


def test_nothing_unpickles_or_evaluates():
    wrong = {str(path): found for path, tree in sources().items()
             if (found := [what for what in dangers(path, tree)
                           if not (what == "os.environ" and path.parts[:2] == ("spikeattn", "data"))])}
    assert wrong == {}


@pytest.mark.parametrize("code", [
    "import pickle", "torch.load(path)", "torch.load(path, weights_only=False)", "eval(text)", "os.environ['A']",
    "np.load(path, allow_pickle=True)", "from os import environ", "os.getenv('A')",
])
def test_the_search_for_dangers_finds_them(code):
    assert dangers(Path("spikeattn/x.py"), ast.parse(code))


def test_the_search_for_imports_finds_lazy_and_relative_ones():
    path = Path("spikeattn/ops/lif/__init__.py")
    tree = ast.parse(
        "def f():\n    from ..op import Op\n    from ... import models\n    import neuromorphic.trace\n"
        "from .reference import x"
    )
    assert rooms(path, tree, "spikeattn") == {"ops", "models"}
    assert rooms(path, tree, "neuromorphic") == {"trace"}
    assert rooms(Path("spikeattn/ops/x.py"), ast.parse("from spikeattn import __version__"), "spikeattn") == set()
    assert rooms(Path("spikeattn/ops/x.py"), ast.parse("from spikeattn import create_model"), "spikeattn") == {""}
