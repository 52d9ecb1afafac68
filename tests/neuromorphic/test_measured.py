"""Joules of a graphics card, with an NVML made of Python: every state, both methods, and no exception ever."""

import builtins
import sys
import time
from types import SimpleNamespace

import pytest

from neuromorphic import measured
from neuromorphic.measured import Measured, integrated, measure

IDLE_W, BUSY_W = 50.0, 250.0


class NVMLError(Exception):
    pass


class FakeCard:
    """A card that draws IDLE_W, and BUSY_W while `busy` is set; time passes only in `work` and `sleep`."""

    def __init__(self, counter: bool = True, power: bool = True, driver: bool = True):
        self.now, self.joules, self.busy, self.closed = 0.0, 0.0, False, 0
        self.counter, self.power, self.driver = counter, power, driver

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.joules += seconds * (BUSY_W if self.busy else IDLE_W)

    def work(self) -> None:
        self.busy = True
        self.pass_time(0.5)
        self.busy = False

    @property
    def pynvml(self):
        def init():
            if not self.driver:
                raise NVMLError("Driver Not Loaded")

        def energy(handle):
            if not self.counter:
                raise NVMLError("Not Supported")
            return int(self.joules * 1e3)

        def watts(handle):
            if not self.power:
                raise NVMLError("Not Supported")
            return int(1e3 * (BUSY_W if self.busy else IDLE_W))

        def close():
            self.closed += 1

        return SimpleNamespace(nvmlInit=init, nvmlShutdown=close, nvmlDeviceGetHandleByIndex=lambda index: index,
                               nvmlDeviceGetHandleByUUID=lambda uuid: uuid, nvmlDeviceGetName=lambda card: b"Fake card",
                               nvmlDeviceGetTotalEnergyConsumption=energy, nvmlDeviceGetPowerUsage=watts)


@pytest.fixture
def card(monkeypatch):
    """Puts a fake card in the place of NVML, and its clock in the place of ours."""
    def put(**kinds) -> FakeCard:
        fake = FakeCard(**kinds)
        monkeypatch.setitem(sys.modules, "pynvml", fake.pynvml)
        clock = SimpleNamespace(perf_counter=lambda: fake.now, sleep=fake.pass_time)
        monkeypatch.setattr(measured, "time", clock)
        return fake
    return put


def test_energy_counter(card):
    """200 W above idle for 0.5 s and 4 samples a pass: 25 J per sample, in every window."""
    fake = card()
    found = measure(fake.work, samples=4, device="GPU-1", window_s=2.0, repeats=3)
    assert (found.state, found.method, found.device) == ("measured", "energy counter", "Fake card")
    assert found.runs == pytest.approx((25.0,) * 3) and found.joules == pytest.approx(25.0)
    assert found.sd == pytest.approx(0.0, abs=1e-9) and found.idle_w == pytest.approx(IDLE_W)
    assert found.window_s >= 2.0 and found.samples == 4 and fake.closed == 1


def test_power_alone_is_integrated(monkeypatch):
    """In real time: a reading thread sees 250 W while the model runs and 50 W while nothing does."""
    fake = FakeCard(counter=False)

    def work():
        fake.busy = True
        time.sleep(0.05)

    def idle(seconds):
        fake.busy = False
        time.sleep(seconds)

    monkeypatch.setitem(sys.modules, "pynvml", fake.pynvml)
    monkeypatch.setattr(measured, "time", SimpleNamespace(perf_counter=time.perf_counter, sleep=idle))
    monkeypatch.setattr(measured, "INTERVAL_S", 0.005)
    found = measure(work, samples=10, window_s=0.15, repeats=2)
    assert (found.state, found.method) == ("measured", "integrated power") and len(found.runs) == 2
    assert found.idle_w == pytest.approx(IDLE_W, rel=0.2)
    assert all(0.3 < run < 2.0 for run in found.runs)  # about 200 W * 0.05 s / 10 samples = 1 J


def test_trapezoid_by_hand():
    assert integrated([(0.0, 0.0), (2.0, 100.0)]) == 100.0 and integrated([(1.0, 5.0)]) == 0.0


@pytest.mark.parametrize(("kinds", "state", "word"), [
    ({"driver": False}, "no driver", "Driver Not Loaded"),
    ({"counter": False, "power": False}, "unsupported", "neither energy nor power"),
])
def test_why_nothing_was_measured(card, kinds, state, word):
    fake = card(**kinds)
    found = measure(fake.work, samples=4)
    assert found.state == state and word in found.reason and found.joules is None and found.runs == ()


def test_no_card_for_pytorch(card):
    found = measure(None, samples=1)
    assert found.state in ("no package", "no driver", "unsupported") and found.reason
    card()
    assert measure(None, samples=1) == Measured("unsupported", "PyTorch sees no CUDA device.")


def test_no_package(monkeypatch):
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "pynvml":
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    found = measure(lambda: None, samples=1)
    assert found.state == "no package" and "spikeattn[nvml]" in found.reason


def test_a_run_that_fails_is_no_exception(card):
    fake = card()

    def fail():
        raise RuntimeError("CUDA error:\nout of memory")

    found = measure(fail, samples=1)
    assert found.state == "unsupported" and found.reason == (
        "the measurement failed: RuntimeError: CUDA error: out of memory.")
    assert fake.closed == 1
