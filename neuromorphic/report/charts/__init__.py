"""The charts of a report, one in a file: what is drawn, and the same numbers as a table.

    draw(...) -> Markup      inline SVG with a readable text for every mark
    numbers(...) -> Table    for screen readers, for Markdown and for doubt
"""

from . import break_even, comparison, firing, interval, layers, memory, pareto, sensitivity, shiftmax, zero_skipping

__all__ = [
    "break_even", "comparison", "firing", "interval", "layers", "memory", "pareto", "sensitivity", "shiftmax",
    "zero_skipping",
]
