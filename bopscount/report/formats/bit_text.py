"""The bit summary as text. Nothing here computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bopscount.report.bit_summary import BitSummary

_MIB_BITS = 8 * 2**20


def render_bits(summary: BitSummary) -> str:
    """MACs by bits, parameters by bits, sizes, and the share of binarised MACs."""
    total = summary.total_macs or 1
    macs = [[f"{w} x {a}", f"{n:,}", f"{n / total:.2%}"] for (w, a), n in summary.macs.items()]
    params = [
        [str(bits), f"{count:,}", f"{summary.memory_bits[bits] / _MIB_BITS:.4f}"]
        for bits, count in summary.params.items()
    ]
    sizes = [
        f"Model size: {_mib(summary.size_mib)} (parameters at their true widths)",
        f"Model size, float parameters at 8 bit: {_mib(summary.int8_rest_mib)}",
        f"All-32-bit size: {_mib(summary.float32_mib)}, "
        f"compression ratio {summary.compression_ratio:.2f}",
        _parameters(summary),
        f"Total MACs: {summary.total_macs:,}, binarised {summary.binary_share:.2%}",
    ]
    return "\n".join(
        [
            _table(macs, ["weight x input bits", "MACs", "share"]),
            _table(params, ["bits", "params", "MiB"]),
            *sizes,
        ]
    )


def _mib(size: float) -> str:
    """Two decimals, and more where these would say little."""
    return f"{size:.2f}MiB" if size >= 1 else f"{size:.4f}MiB"


def _parameters(summary: BitSummary) -> str:
    line = f"Params by logical shape: {summary.total_params:,}"
    if summary.trainable_params is None:
        return line
    return f"{line}; trainable: {summary.trainable_params:,}"


def _table(rows: list[list[str]], headers: list[str]) -> str:
    from tabulate import tabulate

    text = tabulate(rows, headers, tablefmt="plain", disable_numparse=True, stralign="right")
    return str(text)
