"""Joules that a graphics card really used: never part of, and never mixed with, the theoretical figure.

    E_run  = counter at the end - counter at the start        where the card has an energy counter (NVML, in mJ)
           = sum of (P[i] + P[i+1]) / 2 * (t[i+1] - t[i])     else: power readings, trapezoidal rule
    P_idle = E / t of a window in which the card does nothing
    joules per sample = (E_run - P_idle * t_run) / samples    each window lasts 2 s or more, and is repeated

What the host's processor and memory use is not in it. Nothing here raises for a machine on which nothing can be
measured: the record then says why.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal

State = Literal["no package", "no driver", "unsupported", "measured"]
WINDOW_S, REPEATS, INTERVAL_S = 2.0, 5, 0.02


@dataclass(frozen=True)
class Measured:
    """What was measured, or why nothing was.

    runs: joules per sample of each window, idle power subtracted. samples: of one forward pass.
    method: "energy counter" or "integrated power"; window_s: the shortest window; idle_w: mean idle power.
    """

    state: State
    reason: str = ""
    device: str | None = None
    method: str | None = None
    runs: tuple[float, ...] = ()
    samples: int = 0
    window_s: float | None = None
    idle_w: float | None = None

    @property
    def joules(self) -> float | None:
        """Mean joules per sample."""
        return fmean(self.runs) if self.runs else None

    @property
    def sd(self) -> float | None:
        """Standard deviation between the windows, in joules per sample."""
        return stdev(self.runs) if len(self.runs) > 1 else None


@dataclass(frozen=True)
class Card:
    """A graphics card that NVML knows. joules: its energy counter; watts: its power now; either may be missing."""

    name: str
    joules: Callable[[], float] | None
    watts: Callable[[], float] | None


def measure(run: Callable[[], Any] | None, samples: int, *, device: int | str = 0, window_s: float = WINDOW_S,
            repeats: int = REPEATS) -> Measured:
    """Joules per sample of `run`, a forward pass over `samples` samples that returns when the card is done.

    device: index or UUID of the card for NVML. run None: PyTorch has no card to run on.
    A machine without what it takes, and a run that fails, give a record that says so.
    """
    try:
        import pynvml
    except ImportError:
        return Measured("no package", "nvidia-ml-py is not installed. Install spikeattn[nvml].")
    try:
        pynvml.nvmlInit()
    except Exception as error:  # NVML's errors are many, and none of them is the model's
        return Measured("no driver", f"NVML does not start: {_line(error)}.")
    try:
        if run is None:
            return Measured("unsupported", "PyTorch sees no CUDA device.")
        card = _card(pynvml, device)
        if card.joules is None and card.watts is None:
            return Measured("unsupported", f"{card.name} shows neither energy nor power.", card.name)
        return _windows(card, run, samples, window_s, repeats)
    except Exception as error:
        return Measured("unsupported", f"the measurement failed: {_line(error)}.")
    finally:
        _quietly(pynvml.nvmlShutdown)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")


def _quietly(call: Callable[[], Any]) -> Any:
    """What a call gives, None where it raises."""
    try:
        return call()
    except Exception:
        return None


def _card(pynvml: Any, device: int) -> Card:
    by_uuid = isinstance(device, str)
    handle = (pynvml.nvmlDeviceGetHandleByUUID if by_uuid else pynvml.nvmlDeviceGetHandleByIndex)(device)
    name = pynvml.nvmlDeviceGetName(handle)
    counter = lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3  # noqa: E731 - mJ
    power = lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3  # noqa: E731 - mW
    return Card(name.decode() if isinstance(name, bytes) else str(name),
                counter if _quietly(counter) is not None else None, power if _quietly(power) is not None else None)


def _windows(card: Card, run: Callable[[], Any], samples: int, window_s: float, repeats: int) -> Measured:
    run()  # compiles, allocates, warms up
    found, idle, lengths = [], [], []
    for _ in range(repeats):
        joules, seconds, _ = _window(card, lambda: time.sleep(INTERVAL_S), window_s)
        idle.append(joules / seconds)
        joules, seconds, passes = _window(card, run, window_s)
        found.append((joules - idle[-1] * seconds) / (passes * samples))
        lengths.append(seconds)
    method = "energy counter" if card.joules else "integrated power"
    return Measured("measured", "", card.name, method, tuple(found), samples, min(lengths), fmean(idle))


def _window(card: Card, run: Callable[[], Any], window_s: float) -> tuple[float, float, int]:
    """(joules, seconds, calls) of a window in which `run` is called again and again."""
    meter = Counter(card.joules) if card.joules else Power(card.watts)
    calls, began = 0, time.perf_counter()
    meter.start()
    try:
        while calls == 0 or time.perf_counter() - began < window_s:
            run()
            calls += 1
    finally:
        joules = meter.stop()
    return joules, time.perf_counter() - began, calls


class Counter:
    """The difference between two readings of an energy counter."""

    def __init__(self, joules: Callable[[], float]):
        self.joules = joules

    def start(self) -> None:
        self.begun = self.joules()

    def stop(self) -> float:
        return self.joules() - self.begun


class Power:
    """Power readings of a thread of its own, integrated by the trapezoidal rule."""

    def __init__(self, watts: Callable[[], float]):
        self.watts, self.readings, self.done = watts, [], threading.Event()

    def start(self) -> None:
        self._read()
        self.thread = threading.Thread(target=self._keep_reading, daemon=True)
        self.thread.start()

    def stop(self) -> float:
        self.done.set()
        self.thread.join()
        self._read()
        return integrated(self.readings)

    def _read(self) -> None:
        self.readings.append((time.perf_counter(), self.watts()))

    def _keep_reading(self) -> None:
        while not self.done.wait(INTERVAL_S):
            _quietly(self._read)  # a reading that fails leaves a longer step between two others


def integrated(readings: list[tuple[float, float]]) -> float:
    """Joules from (second, watt) readings.

    >>> integrated([(0.0, 100.0), (1.0, 200.0), (3.0, 200.0)])
    550.0
    """
    return sum((a + b) / 2 * (t - s) for (s, a), (t, b) in zip(readings, readings[1:], strict=False))
