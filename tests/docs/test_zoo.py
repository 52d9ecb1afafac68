"""docs/reference/zoo.md is what the registry says today."""

from pathlib import Path

from neuromorphic.cli.models import describe, page
from spikeattn import list_models

ZOO = Path(__file__).parents[2] / "docs" / "reference" / "zoo.md"


def test_the_page_is_up_to_date():
    written, now = ZOO.read_text(encoding="utf-8"), page([describe(name) for name in list_models()])
    changed = [line for line in now.splitlines() if line not in written.splitlines()]
    assert written == now, f"run `make docs`; new or changed: {changed[:5]}"


def test_every_model_has_a_row():
    rows = [line for line in ZOO.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    named = [line.split(" | ")[0].removeprefix("| ").strip() for line in rows]
    assert sorted(name for name in named if name not in ("", "model", "---", "|")) == list_models()
