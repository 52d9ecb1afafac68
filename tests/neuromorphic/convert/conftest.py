"""timm without torchvision: it imports names from there at its start that a ViT never uses."""

import importlib.util
import sys
import types

import pytest


class Names(types.ModuleType):
    """A module and package in which every name is an empty class."""

    __path__: list[str] = []

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"BILINEAR": 0, "BICUBIC": 1, "NEAREST": 2, "BOX": 3, "HAMMING": 4, "LANCZOS": 5})


TORCHVISION = ("torchvision", "torchvision.ops", "torchvision.ops.misc", "torchvision.transforms",
               "torchvision.transforms.functional", "torchvision.datasets", "torchvision.models",
               "torchvision.models.feature_extraction")


@pytest.fixture(scope="session")
def timm():
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    names = () if importlib.util.find_spec("torchvision") else TORCHVISION
    modules = {name: Names(name) for name in names}
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    sys.modules.update(modules)
    try:
        import timm
    finally:
        for name in names:
            del sys.modules[name]
    return timm
