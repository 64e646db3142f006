"""What the records of golden/published.json count, as numbers of a layer table."""

from fnmatch import fnmatchcase
from math import prod

import numpy as np

import bopscount
from bopscount import CONVENTIONS, _core
from bopscount.conventions.facts import Facts

GIGA = 10**9
MEGA = 10**6


def evaluated(table, convention):
    return CONVENTIONS[convention].evaluate(Facts(table))


def value(convention, unit=1):
    """The convention's number, an int where it is whole."""

    def read(table):
        number = evaluated(table, convention).value
        if unit != 1:
            return number / unit
        return int(number) if isinstance(number, float) and number.is_integer() else number

    return convention, read


def part(convention, *names):
    """One exact integer that a convention's number is made of, or several by name."""

    def read(table):
        parts = evaluated(table, convention).parts
        return parts[names[0]] if len(names) == 1 else {name: parts[name] for name in names}

    return convention, read


def params(table):
    return table.totals("full").params


def speed_up(table):
    """Against the same network in full precision."""
    return evaluated(table, "macs").value / evaluated(table, "reactnet").value


def by_precision(table):
    """larq's summary under the names of the record."""
    macs = {name.split("-")[0]: n for name, n in evaluated(table, "max_bits").value.items()}
    return {**macs, "total": sum(macs.values())}


def of_layer(index):
    """Sony MCT's number for one MAC layer alone."""

    def read(table):
        mac_layers = [r for r in table.records if _core.OP_TABLE[r["kind"]]["macs"]]
        record = np.array([mac_layers[index]], table.records.dtype)
        record["owner"] = 0
        return bopscount.convention_value(record, "mct")

    return "mct", read


def macs_of_bits(weight_bits, input_bits):
    return "macs", lambda table: bopscount.count(table).bit_summary.macs[weight_bits, input_bits]


def qonnx_row(table):
    weights = evaluated(table, "weights_only").parts
    macs, bops = (evaluated(table, name).value for name in ("macs", "product"))
    return [macs, bops, weights["values"], weights["bits"]]


# What module-hook tools count: layer classes that they know, each with a price an element.


def elements(table, kind, of="input"):
    """Elements of all calls of a kind of layer, for a batch of one."""
    rows = [row for row in bopscount.count(table).layers if row.kind == kind]
    return sum(row.calls * prod(getattr(row, f"{of}_shape")) for row in rows)


def float_modules(table):
    """MACs of full precision, which hooks on nn.Conv2d and nn.Linear see."""
    return evaluated(table, "reactnet").parts["FLOPs"]


def ptflops(table, twice=1):
    """Batch norm 2 an element, activations and pools 1 an input; the linear bias."""
    bias = evaluated(table, "fc_bias").value - evaluated(table, "macs").value
    once = [elements(table, kind) for kind in ("relu", "prelu", "avg_pool", "adaptive_avg_pool")]
    norm = 2 * elements(table, "batch_norm")
    return float_modules(table) + bias + norm + twice * sum(once)


def thop(table, norm):
    """`norm` an element of batch norm; PReLU 1; an average k additions (or none) + 1."""
    adaptive = elements(table, "adaptive_avg_pool") + elements(table, "adaptive_avg_pool", "output")
    others = norm * elements(table, "batch_norm") + elements(table, "prelu") + adaptive
    return float_modules(table) + others + elements(table, "avg_pool", "output")


def float_counters(table):
    """Tools that see no binary layer, or a float one in it.

    Today's ptflops counts activations and pools as modules and as functions; today's thop
    counts 4 an element of batch norm and the additions of average pools.
    """
    return {
        "ptflops pytorch": ptflops(table, twice=2),
        "ptflops aten": evaluated(table, "all_bias").value,
        "fvcore": evaluated(table, "fvcore").value,
        "thop": thop(table, norm=4) + elements(table, "avg_pool"),
        "calflops MACs": evaluated(table, "macs").value,
    }


METRICS = {
    ("*", "OPs"): value("reactnet"),
    ("*", "FLOPs"): part("reactnet", "FLOPs"),
    ("*", "BOPs"): part("reactnet", "BOPs"),
    ("*", "binary MACs / fp MACs"): part("reactnet", "BOPs", "FLOPs"),
    ("*", "ratio"): ("reactnet", speed_up),
    ("*", "Flops"): value("bmxnet"),
    ("*", "model size"): value("mib_fused"),
    ("QuickNet", "parameters"): part("mib_fused", "values"),
    ("Bi*", "parameters"): part("mib_raw", "values"),
    ("QuickNet", "memory"): value("mib_fused"),
    ("Bi*", "memory"): value("mib_raw"),
    ("*", "MACs by precision"): ("max_bits", by_precision),
    ("*", "total Bops"): ("torchstat", lambda table: table.totals("torchstat").bops),
    ("*", '"speed up flops"'): value("bit32"),
    ("*", "GBOPS"): value("product", GIGA),
    ("*", "model size MB"): value("weights_only"),
    ("*", "BOPs (UNIQ form)"): value("accumulator"),
    ("*", "total_bops"): value("product"),
    ("*", "total_macs"): value("macs"),
    ("*", "op_mac_INT8_INT2"): macs_of_bits(2, 8),
    ("*", "op_mac_INT2_INT2"): macs_of_bits(2, 2),
    ("*", "mem_w_elems"): part("weights_only", "values"),
    ("*", "mem_w_bits"): part("weights_only", "bits"),
    ("*", "MACs/BOPS/weights/weight bits"): ("product", qonnx_row),
    ("MCT sequential*", "BOPS conv"): of_layer(0),
    ("MCT sequential*", "BOPS dwconv"): of_layer(1),
    ("*", "BOPS convT (output positions)"): of_layer(2),
    ("MCT sequential*", "BOPS fc"): of_layer(3),
    ("*", "BOPS total"): value("mct"),
    ("*", "BOPS grouped conv"): of_layer(0),
    ("MCT multi*", "BOPS dwconv"): of_layer(1),
    ("MCT multi*", "BOPS fc"): of_layer(2),
    ("*", "BOPS"): value("mct"),
    ("*", "MFLOPs"): value("fc_bias"),
    ("*", "Mparams"): ("", params),
    ("*", "M MACs"): value("macs"),
    ("*", "fwd MACs (G)"): value("macs"),
    ("*", "params"): ("", params),
    ("ptflops*", "count"): value("all_bias"),
    ("thop*", "count"): value("macs"),
    ("fvcore*", "count"): value("macs"),
    ("*", "thop"): ("", lambda table: thop(table, norm=2) / MEGA),
    ("*", "ptflops"): ("", lambda table: ptflops(table) / MEGA),
    ("*", "what float counters report"): ("", float_counters),
}
"""(network, metric) of a record, the network as a glob, to (convention, its number)."""


def metric_of(figure):
    """The convention of a record, "" for no preset, and how to read its number."""
    (metric,) = (
        metric
        for (network, name), metric in METRICS.items()
        if fnmatchcase(figure["network"], network) and figure["metric"] == name
    )
    return metric
