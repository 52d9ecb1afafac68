"""The command line: `spikeattn <verb>`. One verb, one file; torch is imported inside the verbs that need it."""

from neuromorphic.cli.app import main

__all__ = ["main"]
