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
        self.counter, self.power, self.driver, self.meters = counter, power, driver, []

    def pass_time(self, seconds: float) -> None:
        for meter in self.meters:
            meter._read()
        self.now += seconds
        self.joules += seconds * (BUSY_W if self.busy else IDLE_W)
        for meter in self.meters:
            meter._read()

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


def test_power_alone_is_integrated(card, monkeypatch):
    """The same 25 J per sample, from a reading before and after every change of power."""
    fake = card(counter=False)

    class Reading(measured.Power):
        def start(self):
            fake.meters = [self]
            super().start()

        def _keep_reading(self):  # the clock is not real: the card asks for readings
            pass

    monkeypatch.setattr(measured, "Power", Reading)
    found = measure(fake.work, samples=4, window_s=2.0, repeats=2)
    assert (found.state, found.method) == ("measured", "integrated power")
    assert found.runs == pytest.approx((25.0,) * 2) and found.idle_w == pytest.approx(IDLE_W)


def test_a_thread_reads_the_power():
    """At constant power the integral is power times time, however often the thread came to read."""
    power = measured.Power(lambda: 100.0)
    power.start()
    time.sleep(0.1)
    joules = power.stop()
    assert not power.thread.is_alive() and len(power.readings) > 2
    assert joules == pytest.approx(100.0 * (power.readings[-1][0] - power.readings[0][0])) and joules >= 10.0


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
