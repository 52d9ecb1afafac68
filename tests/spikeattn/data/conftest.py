import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="session")
def data_root():
    """The directory with the real data sets, where there is one."""
    for place in (os.environ.get("SPIKEATTN_DATA"), BESIDE):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("no real data: SPIKEATTN_DATA is not set and there is no shared/data beside the repository")
