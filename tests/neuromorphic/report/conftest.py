"""A report made by hand: small numbers that can be checked on paper, and names that can be hostile."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from neuromorphic.energy.bill import Bill, Line, Price, Profile, Rule
from neuromorphic.ledger import Coverage, Emission, Ledger, ModelInfo, Operand, Row, Touch
from neuromorphic.report import Entry, Report
from neuromorphic.report.record import Checkpoint, Data, Provenance, Spread

SAMPLES, STEPS = 10, 4
FP32 = {"MAC": 4.6, "AC": 0.9, "ADD": 0.9, "MUL": 3.7, "SHIFT": 0.13, "CMP": 0.9, "EXP": 22.0, "DIV": 26.3,
        "BUTTERFLY": 20.2, "LOD": 0.1, "AND": 0.1}
INT8 = {"MAC": 0.3, "AC": 0.1, "ADD": 0.1, "MUL": 0.2, "SHIFT": 0.13, "CMP": 0.1, "EXP": 1.7, "DIV": 1.4,
        "BUTTERFLY": 1.4, "LOD": 0.1, "AND": 0.1}


def make_profile(name: str, title: str, prices: dict[str, float]) -> Profile:
    table = {operation: Price(pj, "Horowitz, ISSCC 2014", operation not in ("SHIFT", "EXP"),
                              "range reduction and polynomial" if operation == "EXP" else None)
             for operation, pj in prices.items()}
    return Profile(name, title, 45, "2014", "M. Horowitz, Computing's energy problem, ISSCC 2014", True, table)


PROFILES = (make_profile("horowitz45_fp32", "45 nm, fp32", FP32),
            make_profile("horowitz45_int8_acc32", "45 nm, int8 with int32 accumulator", INT8))


def make_emission(scope: str, order: int, rates, negative=(), alphabet="binary", units=1024) -> Emission:
    """Rates are given in percent of units at each step."""
    at = [round(units * SAMPLES * rate / 100) for rate in rates]
    below = [round(units * SAMPLES * rate / 100) for rate in negative] or [0] * len(at)
    return Emission(scope, "TernaryLIF" if negative else "LIF", alphabet, units, units * SAMPLES * len(at), tuple(at),
                    tuple(below), tuple(a + b for a, b in zip(at, below, strict=True)), (1 << units - 30) - 1, 3,
                    order=order)


def make_bills(ledger: Ledger, counts, profiles=PROFILES) -> tuple[Bill, ...]:
    """counts: (layer, family, class, operations per sample)."""
    bills = []
    for profile in profiles:
        lines = tuple(Line(layer, op, name, n * SAMPLES, profile.pj(name)) for layer, op, name, n in counts)
        ann = tuple(Line(row.scope, row.op, "MAC", row.dense // row.steps, profile.pj("MAC"))
                    for row in ledger.rows if row.dense)
        bill = Bill(ledger, profile, Rule(), lines, ann)
        added = sum(line.total_pj for line in lines if (line.op, line.operation) == ("score_value", "ADD"))
        changed = {"shift_accounting=shift_only": bill.total_mj - added / SAMPLES * 1e-9}
        bills.append(Bill(ledger, profile, Rule(), lines, ann, changed))
    return tuple(bills)


def make_spiking(label: str, *, bipolar: bool, blocks: int = 2, prefix: str = "", uncovered: bool = False,
                 profiles=PROFILES) -> Entry:
    counts = [(f"{prefix}stem.conv", "conv", "MAC", 65_536), (f"{prefix}stem.neuron", "neuron", "ADD", 4096)]
    emissions = [make_emission(f"{prefix}stem.neuron", 0, (18, 24, 22, 23))]
    rows = [Row(f"{prefix}stem.conv", "conv", steps=STEPS, dense=65_536 * SAMPLES,
                geometry=(("in", 1), ("out", 64), ("overlap", 9), ("pixels", 64), ("taps", 9)),
                left=Operand(2560, 2000, 0, smallest=0.1, largest=1.0, integers=False, powers_of_two=False))]
    for block in range(blocks):
        at = f"{prefix}blocks.{block}"
        for index, name in enumerate(("attn.q", "attn.k", "attn.v", "attn.o", "mlp.fc1", "mlp.fc2")):
            dense = 262_144 * (4 if "mlp" in name else 1)
            events = int(dense * (0.08 + 0.03 * index))
            counts.append((f"{at}.{name}.linear", "linear", "AC", events))
            rows.append(Row(f"{at}.{name}.linear", "linear", order=10 * block + index, steps=STEPS,
                            geometry=(("in", 64), ("out", 64)),
                            dense=dense * SAMPLES, left_events=events * SAMPLES, coincidence=events * SAMPLES,
                            left=Operand(40_960, 6_000, 0, smallest=1.0, largest=1.0)))
            counts.append((f"{at}.{name}.neuron", "neuron", "ADD", 4096))
            counts.append((f"{at}.{name}.neuron", "neuron", "CMP", 4096))
            signed = bipolar and name in ("attn.q", "attn.k")
            emissions.append(make_emission(
                f"{at}.{name}.neuron", 10 * block + index + 1, (4.1 + index, 9.7, 8.4 + 3 * block, 11.2),
                (6.0, 12.5, 14.1, 9.9) if signed else (), "ternary" if signed else "binary"))
        counts.append((f"{at}.attn", "matmul", "AC", 18_000))
        if bipolar:
            counts += [(f"{at}.attn", "shiftmax", "SHIFT", 2048), (f"{at}.attn", "shiftmax", "ADD", 4096),
                       (f"{at}.attn", "shiftmax", "LOD", 256), (f"{at}.attn", "score_value", "SHIFT", 65_536),
                       (f"{at}.attn", "score_value", "ADD", 65_536)]
        else:
            counts.append((f"{at}.attn", "matmul", "AC", 31_000))
    counts.append((f"{prefix}head", "linear", "MAC", 640))
    coverage = Coverage((Touch("aten.addmm", f"{prefix}head", 10, 100_000), Touch("spikeattn.lif", "stem", 40, 90_000)),
                        (Touch("aten.view", "", 80, 1_000_000), Touch("aten.native_batch_norm", "stem", 3, 9_000)),
                        (Touch("aten.erfinv", f"{prefix}blocks.0", 1, 640),) if uncovered else ())
    model = ModelInfo("spikingformer_digits_2_64", "Spikingformer", 80_394, STEPS, (1, 8, 8),
                      "bsa" if bipolar else "ssa", labelled=SAMPLES, correct=9)
    ledger = Ledger(model, SAMPLES, tuple(rows), tuple(emissions), coverage)
    return Entry(label, make_bills(ledger, counts, profiles), training="trained for 30 epochs on digits, seed 0")


def make_ann(label: str, attention: str) -> Entry:
    counts = [("stem.conv", "conv", "MAC", 16_384)]
    for block in range(2):
        at = f"blocks.{block}"
        counts += [(f"{at}.{name}", "linear", "MAC", 65_536 * (4 if "mlp" in name else 1))
                   for name in ("attn.q", "attn.k", "attn.v", "attn.o", "mlp.fc1", "mlp.fc2")]
        if attention == "softmax":
            counts += [(f"{at}.attn", "matmul", "MAC", 32_768), (f"{at}.attn", "softmax", "EXP", 512),
                       (f"{at}.attn", "softmax", "DIV", 32)]
        else:
            counts += [(f"{at}.attn", "fft", "BUTTERFLY", 4352), (f"{at}.attn", "softmax", "EXP", 32)]
        counts += [(f"{at}.mlp.act", "gelu", "ERF", 4096)]
    model = ModelInfo(f"{attention}_digits_2_64", "VisionTransformer", 79_000, 1, (1, 8, 8), attention, SAMPLES, 9)
    ledger = Ledger(model, SAMPLES, coverage=Coverage((Touch("aten.addmm", "head", 10, 100_000),)))
    return Entry(label, make_bills(ledger, counts), training="trained for 30 epochs on digits, seed 0")


@pytest.fixture
def report() -> Report:
    return Report((make_spiking("BSA", bipolar=True), make_spiking("SSA", bipolar=False),
                   make_ann("softmax ANN", "softmax"), make_ann("CAT ANN", "cat")),
                  "Digits: four attentions, one skeleton", ("One seed (0): differences of a point are noise.",))


@pytest.fixture
def hostile():
    """A report whose labels, layers, title, notes, operations, profile, data and command are the payload."""
    def build(payload: str) -> Report:
        profiles = PROFILES[0], replace(PROFILES[1], name=payload, title=payload, source=payload, date=payload)
        entry = make_spiking(payload, bipolar=True, prefix=payload + ".", uncovered=True, profiles=profiles)
        known = {"training": payload, "data": Data(payload, payload, 1, payload),
                 "checkpoint": Checkpoint(payload, payload)}
        entries = Entry(payload, entry.bills, **known), make_ann("softmax ANN", "softmax")
        return Report(entries, payload, (payload,), provenance=Provenance(command=payload))
    return build


@pytest.fixture
def spiking():
    """Builds an entry: `spiking(label, bipolar=True, blocks=2)`."""
    return make_spiking


@pytest.fixture
def many():
    """40 samples, 8 of whose energies differ: what a run sample by sample records."""
    return Spread(PROFILES[0].name, tuple(1e-3 * (1 + 0.01 * (index % 8)) for index in range(40)))


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
           "--disable-background-networking", "--hide-scrollbars", "--remote-debugging-pipe", "about:blank")
PATIENCE_S = 60


def find_browser() -> str | None:
    """The browser's program, None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


class Browser:
    """One page of a headless Chromium. What it said on the console and what it asked of the network are kept.

    `--remote-debugging-pipe` speaks the DevTools protocol as JSON messages that end in a zero byte, read from file
    descriptor 3 and written to 4: nothing but the standard library is needed.
    """

    def __init__(self, program: str, profile: Path):
        (theirs_in, self._to), (self._from, theirs_out) = os.pipe(), os.pipe()

        def hand_over() -> None:  # both ends away from 3 and 4 first, so that neither covers the other
            a, b = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(a, 3)
            os.dup2(b, 4)

        with open(profile.with_suffix(".log"), "wb") as log:
            self._process = subprocess.Popen([program, f"--user-data-dir={profile}", *OPTIONS], stderr=log, stdout=log,
                                             preexec_fn=hand_over, close_fds=False)
        os.close(theirs_in)
        os.close(theirs_out)
        self._bytes, self._number, self._session = b"", 0, None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params) -> dict:
        """Ask, and wait for the answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self) -> dict:
        end = time.monotonic() + PATIENCE_S
        while b"\0" not in self._bytes:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(self._from, 1 << 16) if ready else b""
            if not chunk:
                raise RuntimeError(f"Chromium said nothing for {PATIENCE_S} s or ended")
            self._bytes += chunk
        one, self._bytes = self._bytes.split(b"\0", 1)
        message = json.loads(one)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, params: dict) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"].get("exception", params)))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(f"console.{params['type']}: {params['args']}")
        elif method == "Log.entryAdded":
            self.complaints.append(f"{params['entry']['source']}: {params['entry']['text']}")
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {params['message']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True

    def open(self, page: Path, width: int, height: int = 900, dark: bool = False) -> None:
        """Show a file at a size, as a phone below 600 pixels, and wait until it has loaded and unpacked its figures."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.media("screen", dark)
        self._loaded = False
        self.send("Page.navigate", url=page.as_uri())
        while not self._loaded:
            self._next()
        self.run("typeof ready === 'undefined' || ready.then(() => true)")

    def media(self, kind: str, dark: bool = False) -> None:
        """Screen or print, light or dark."""
        self.send("Emulation.setEmulatedMedia", media=kind,
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def run(self, script: str):
        """The value of an expression in the page; a promise is waited for."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """A key, as from a keyboard."""
        codes = {"Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def hover(self, x: float, y: float) -> None:
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        found = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        self._session = None
        try:
            self.send("Browser.close")
        except (RuntimeError, OSError):
            pass
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)


@pytest.fixture
def browser(tmp_path):
    """A headless Chromium that is closed afterwards; skips where there is none."""
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium here")
    opened = Browser(program, tmp_path / "chromium")
    yield opened
    opened.close()
