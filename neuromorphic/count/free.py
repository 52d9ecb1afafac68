"""Operations that cost nothing: views, copies, casts, look-ups and what holds no arithmetic.

This is a list of names, never a rule: what is not here and has no counter is uncovered. Moving data is not
free in energy, but it is memory traffic, not an operation.
"""

VIEWS = (
    "_conj", "_neg_view", "_reshape_alias", "_unsafe_view", "alias", "as_strided", "chunk", "detach", "diagonal",
    "expand", "expand_as", "flatten", "imag", "movedim", "narrow", "permute", "real", "reshape", "select", "slice",
    "split", "split_with_sizes", "squeeze", "swapaxes", "t", "transpose", "unbind", "unflatten", "unfold",
    "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes", "unsqueeze", "view", "view_as", "view_as_complex",
    "view_as_real",
)  # fmt: skip
COPIES = (
    "_conj_physical", "_to_copy", "cat", "clone", "col2im", "conj_physical", "constant_pad_nd", "contiguous", "copy",
    "expand_copy", "fill", "flip", "gather", "im2col", "index", "index_put", "index_select", "lift", "lift_fresh",
    "permute_copy", "pixel_shuffle", "pixel_unshuffle", "reflection_pad1d", "reflection_pad2d", "repeat",
    "replication_pad1d", "replication_pad2d", "resolve_conj", "resolve_neg", "roll", "scatter", "slice_scatter",
    "select_scatter", "stack", "tril", "triu", "upsample_nearest1d", "upsample_nearest2d", "view_copy", "zero",
)  # fmt: skip
LOOKUPS = ("_local_scalar_dense", "embedding", "is_nonzero", "item", "sym_size")
SHAPED_LIKE = (
    "empty_like", "full_like", "new_empty", "new_empty_strided", "new_full", "new_ones", "new_zeros", "ones_like",
    "zeros_like",
)  # fmt: skip

OURS = ("spikeattn::pack", "spikeattn::unpack")  # bit planes: another layout of the same spikes

FREE = frozenset(f"aten::{name}" for name in (*VIEWS, *COPIES, *LOOKUPS, *SHAPED_LIKE)).union(OURS)
