"""Records of layers of all kinds, drawn at random."""

import math

from hypothesis import strategies as st

from bopscount import _core
from support.conventions_reference import MAC_KINDS
from support.reference import DEFAULTS

NOT_WEIGHTED = ("batch_norm", "quantize", "adaptive_avg_pool", "relu", "layer_norm", "move")
small = st.integers(1, 6)
width = st.sampled_from([1, 1, 2, 4, 8, 16, 17, 32])
source = st.sampled_from([0, 0, 1, 2, 5])


@st.composite
def layers(draw):
    kind = draw(st.sampled_from([*MAC_KINDS, *NOT_WEIGHTED]))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    kernel = draw(st.tuples(small, small, st.just(1)))
    fields = {
        "kind": kind,
        "calls": draw(st.integers(0, 3)),
        "batch": draw(small),
        "groups": groups,
        "in_channels": groups * draw(small),
        "out_channels": groups * draw(small),
        "in_positions": draw(small),
        "out_positions": draw(small),
        "kernel": kernel if kind in ("conv", "conv_transpose", "attention") else (1, 1, 1),
        "bias_elements": draw(st.sampled_from([0, 5])),
        "weight_elements": 0 if kind in NOT_WEIGHTED[1:] else draw(st.sampled_from([0, 24, 40])),
        "nonzero_weights": -1,
        **{f"{operand}_bits": draw(width) for operand in ("weight", "input", "output")},
        **{f"{operand}_bits_source": draw(source) for operand in ("weight", "input")},
    }
    if kind in ("conv", "conv_transpose", "linear"):
        inner = (fields["in_channels"] // groups) * math.prod(fields["kernel"])
        fields["weight_elements"] = fields["out_channels"] * inner
        fields["nonzero_weights"] = draw(st.integers(-1, fields["weight_elements"]))
    own = fields["weight_elements"] + fields["bias_elements"]
    fields["params"] = fields["logical_params"] = draw(st.sampled_from([0, own]))
    return DEFAULTS | fields


def pack(list_of_fields):
    records = _core.new_layers(len(list_of_fields))
    for index, fields in enumerate(list_of_fields):
        for name, value in fields.items():
            records[name][index] = _core.KINDS[value] if name == "kind" else value
        records["owner"][index] = index
    return records
