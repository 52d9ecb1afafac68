"""No reuse: nothing is kept, every operation goes to memory.

    left, right      pairs reads each, and each zero that is skipped is seen once
    partial sums     pairs + biases reads and as many writes, and one write more for each result, to clear it
    biases           one read for each addition
    membranes        read and written at every step
"""

from neuromorphic.energy.reuse.traffic import ReuseModel, from_memory

NONE = ReuseModel("none", "no reuse: every operation reads its operands and its partial sum from memory", from_memory)
