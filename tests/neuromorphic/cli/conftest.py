"""The command line called in this process: exit code, standard output, standard error."""

from typing import NamedTuple

import pytest

from neuromorphic.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def spikeattn(capfd):
    """Call it with words, as a shell would."""
    def call(*words: object) -> Outcome:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Outcome(code, *capfd.readouterr())
    return call
