"""lsq-net: widths as thresholds; LSQuantization: widths as numbers of bits."""

from bopscount.bits.adapters.family import FLOAT, Family, get, has, width, width_of_range
from bopscount.bits.layer_bits import LayerBits


def _quantiser(module: object, path: str) -> int:
    if not has(get(module, path), "thd_pos"):
        return FLOAT  # IdentityQuan
    return width_of_range(module, f"{path}.thd_neg", f"{path}.thd_pos")


FAMILIES = (
    Family(
        name="lsq-net",
        classes=("QuanConv2d", "QuanLinear"),
        needs=("quan_w_fn", "quan_a_fn"),
        read=lambda module: LayerBits(
            weight_bits=_quantiser(module, "quan_w_fn"),
            input_bits=_quantiser(module, "quan_a_fn"),
        ),
        where="log2(`thd_pos` - `thd_neg` + 1) of `.quan_w_fn` and `.quan_a_fn`",
    ),
    Family(
        name="LSQuantization",
        classes=("Conv2dLSQ", "LinearLSQ"),
        needs=("nbits",),
        read=lambda module: LayerBits(weight_bits=width(module, "nbits")),
        where="`.nbits` (negative is float)",
    ),
    Family(
        name="LSQuantization: activations",
        classes=("ActLSQ",),
        needs=("nbits",),
        read=lambda module: LayerBits(output_bits=width(module, "nbits")),
        where="`.nbits`",
    ),
)
