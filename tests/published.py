"""The figures of golden/published.json, and ours for the same networks.

tests/test_published.py compares them, docs/figures.py writes them down.
"""

import json
import re
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import numpy as np
import torch
from networks.inception_v3 import InceptionV3
from networks.language_models import Bert, Llama2
from networks.mobilenet_v2 import MobileNetV2
from networks.nats_bench import NatsBench
from networks.resnet18 import ResNet18
from networks.resnet50 import ResNet50
from networks.same_padding import with_same_padding
from networks.small import MctMultiOutput, jet_perceptron, mct_sequential
from torch import nn

import bopscount
from bopscount import CONVENTIONS, _core
from bopscount.conventions.facts import Facts
from bopscount.networks import NETWORKS
from bopscount.networks.binary_densenet import binary_densenet28
from bopscount.networks.birealnet import birealnet18
from bopscount.networks.resnet_e import resnet_e18

FIGURES = json.loads((Path(__file__).parent / "golden" / "published.json").read_text())["figures"]
NOT_COMPUTED = ("needs the trained ONNX", "tool reference")
"""Statuses of records that hold nothing to compute here."""
GIGA = 10**9
USER = 1
"""The `bits_source` of what a user says."""


def index_of_text(figure):
    """The Decimal that was printed: its exponent is the last digit's place."""
    text = figure.get("published_text", str(figure["published_value"]))
    number = re.match(r"[\d.]+(e[+-]?\d+)?", text, re.IGNORECASE)[0]
    return Decimal(number) if "published_text" in figure else Decimal(text)


def reproduces(ours, figure):
    """Whether `ours`, cut to the published digits as the status says, is what was printed."""
    printed = index_of_text(figure) * figure["scale"]
    place = Decimal(1).scaleb(index_of_text(figure).as_tuple().exponent) * figure["scale"]
    if "exact" in figure["status"]:
        return Decimal(ours) == printed
    rounding = ROUND_DOWN if "truncated" in figure["status"] else ROUND_HALF_UP
    return (Decimal(ours) / place).to_integral_value(rounding) * place == printed


# Networks: (network, config) of a record to its traced layers.


def trace(build, *size, dtype=None, batch_size=1):
    return bopscount.trace(lambda: build(), size, dtype=dtype, batch_size=batch_size)


def named(name):
    network = NETWORKS[name]
    dtype = getattr(torch, network.dtype) if network.dtype else None
    return trace(network.build, *network.input_size, dtype=dtype)


def quantised(table, bits):
    """The table with (weight bits, input bits) for each of its MAC layers, in order."""
    records = table.records
    layers = [i for i, kind in enumerate(records["kind"]) if _core.OP_TABLE[kind]["macs"]]
    for index, widths in zip(layers, bits(len(layers)), strict=True):
        for name, width in zip(("weight", "input"), widths, strict=True):
            if width < 32:
                records[f"{name}_bits"][index] = width
                records[f"{name}_bits_source"][index] = USER
    return table


def uniform(bits):
    """HAWQ's uniform rows: image, first and last layer at 8 bits."""
    return lambda n: [(8, 8), *[(bits, bits)] * (n - 2), (8, 8)]


def chained(bits):
    """The activations of a layer have the bits of the weights before it, the input 32."""
    return lambda n: [(bits, 32), *[(bits, bits)] * (n - 1)]


MCT_SEQUENTIAL = [(2, 8), (2, 16), (2, 4), (2, 8)]
MCT_MULTI_OUTPUT = [(2, 8)] * 3
IMAGE = (3, 224, 224)
SUBJECTS = {
    ("ReActNet-A", "*"): lambda _: named("reactnet_a"),
    ("ReAct-ResNet18*", "*"): lambda _: named("react_resnet18"),
    ("Bi-Real-Net-18", "*"): lambda _: named("birealnet18"),
    ("Bi-Real-18 variant*", "*"): lambda _: named("binary_resnet18"),
    ("ResNetE18", "7x7*"): lambda _: named("resnet_e18"),
    ("ResNetE18", "grouped*"): lambda _: trace(lambda: resnet_e18(grouped=True), *IMAGE),
    ("ResNet-E18 (bitorch)", "*"): lambda _: trace(
        lambda: resnet_e18(norm_after_stem=True), *IMAGE
    ),
    ("DenseNet28", "7x7*"): lambda _: named("binary_densenet28"),
    ("DenseNet28", "grouped*"): lambda _: trace(lambda: binary_densenet28(grouped=True), *IMAGE),
    ("QuickNet", "larq*"): lambda _: named("quicknet"),
    ("BiRealNet", "larq*"): lambda _: trace(lambda: with_same_padding(birealnet18()), *IMAGE),
    ("BinaryDenseNet28", "larq*"): lambda _: trace(
        lambda: with_same_padding(binary_densenet28()), *IMAGE
    ),
    ("ResNet18", "W32A32"): lambda _: trace(ResNet18, *IMAGE),
    ("ResNet18", "uniform*"): lambda f: quantised(
        trace(ResNet18, *IMAGE), uniform(last_number(f["config"]))
    ),
    ("ResNet50*", "W32A32"): lambda _: trace(ResNet50, *IMAGE),
    ("ResNet50", "uniform*"): lambda f: quantised(
        trace(ResNet50, *IMAGE), uniform(last_number(f["config"]))
    ),
    ("InceptionV3", "*"): lambda _: trace(InceptionV3, 3, 299, 299),
    ("JSC MLP*", "*"): lambda f: quantised(
        trace(jet_perceptron, 16), chained(int(re.match(r"W(\d+)", f["config"])[1]))
    ),
    ("[CT][NF][VC]_?W?A", "*"): lambda f: named(f["network"].lower()),
    ("MCT sequential*", "*"): lambda _: quantised(
        trace(mct_sequential, 3, 18, 18), lambda _: MCT_SEQUENTIAL
    ),
    ("MCT multi-output*", "*"): lambda _: quantised(
        trace(MctMultiOutput, 3, 18, 18), lambda _: MCT_MULTI_OUTPUT
    ),
    ("MCT facade*", "*"): lambda _: quantised(
        trace(lambda: nn.Conv2d(8, 16, 3), 8, 8, 12), lambda _: [(4, 8)]
    ),
    ("NATS-Bench*", "|*"): lambda f: trace(
        lambda: NatsBench(f["config"].split()[0], nats_classes(f["config"])), *input_of(f)
    ),
    ("mobilenet_v2_1", "*"): lambda f: trace(
        lambda: with_same_padding(MobileNetV2(1001)), *input_of(f)
    ),
    ("llama2-7b", "*"): lambda _: trace(Llama2, 128, dtype=torch.int64),
    ("chinese-roberta*", "*"): lambda _: trace(lambda: Bert(21128), 128, dtype=torch.int64),
    ("ptflops Conv2d*", "*"): lambda _: trace(lambda: nn.Conv2d(3, 2, 3), *IMAGE),
    ("ptflops ConvTranspose2d*", "*"): lambda _: trace(
        lambda: nn.ConvTranspose2d(3, 2, 3, 2), *IMAGE
    ),
    ("ptflops Linear*", "*"): lambda _: trace(lambda: nn.Linear(3, 2), 3),
    ("thop Conv2d*", "*"): lambda _: trace(lambda: nn.Conv2d(3, 12, 5, padding=1), 3, 32, 32),
    ("thop ConvTranspose2d(3*", "*"): lambda _: trace(
        lambda: nn.ConvTranspose2d(3, 1, 2, 2), 3, 2, 2
    ),
    ("thop ConvTranspose2d(8*", "*"): lambda _: trace(
        lambda: nn.ConvTranspose2d(8, 4, 3, padding=1, groups=2), 8, 4, 4
    ),
    ("fvcore conv2d*", "*"): lambda _: trace(
        lambda: nn.Conv2d(10, 3, 3, padding=1, bias=False), 10, 15, 15, batch_size=5
    ),
}


def last_number(text):
    return int(re.findall(r"\d+", text)[-1])


def nats_classes(config):
    """ "... 100 classes"; 10 where it says nothing."""
    found = re.search(r"(\d+) classes", config)
    return int(found[1]) if found else 10


def input_of(figure):
    """The sample's shape in "1x3x32x32"."""
    return tuple(int(size) for size in figure["input"].split("x")[1:])


@cache
def layers(number):
    """The traced layers of the network of a record."""
    figure = FIGURES[number]
    key = figure["network"], figure["config"], figure["input"]
    first = next(
        i
        for i, other in enumerate(FIGURES)
        if (other["network"], other["config"], other["input"]) == key
    )
    if first != number:
        return layers(first)
    (subject,) = (
        make
        for (network, config), make in SUBJECTS.items()
        if fnmatchcase(figure["network"], network) and fnmatchcase(figure["config"], config)
    )
    return subject(figure)


# Metrics: (network, metric) of a record to the convention and the number in it.


def evaluated(table, convention):
    return CONVENTIONS[convention].evaluate(Facts(table))


def value(convention, unit=1):
    def read(table):
        number = evaluated(table, convention).value
        return number / unit if unit != 1 else int(number) if is_whole(number) else number

    return convention, read


def is_whole(number):
    return isinstance(number, float) and number.is_integer()


def part(convention, *names):
    """One exact integer that a convention's number is made of, or several by name."""

    def read(table):
        parts = evaluated(table, convention).parts
        return parts[names[0]] if len(names) == 1 else {name: parts[name] for name in names}

    return convention, read


def speed_up(table):
    return evaluated(table, "macs").value / evaluated(table, "reactnet").value


def by_precision(table):
    """larq's summary under the names of the record."""
    macs = {name.split("-")[0]: n for name, n in evaluated(table, "max_bits").value.items()}
    return {**macs, "total": sum(macs.values())}


def of_layer(index, convention="mct"):
    """The convention's number for one MAC layer alone."""

    def read(table):
        mac_layers = [r for r in table.records if _core.OP_TABLE[r["kind"]]["macs"]]
        record = np.array([mac_layers[index]], table.records.dtype)
        record["owner"] = 0
        return bopscount.convention_value(record, convention)

    return convention, read


def macs_of_bits(weight_bits, input_bits):
    def read(table):
        return bopscount.count(table).bit_summary.macs[weight_bits, input_bits]

    return "macs", read


def qonnx_row(table):
    weights = evaluated(table, "weights_only").parts
    macs, bops = (evaluated(table, name).value for name in ("macs", "product"))
    return [macs, bops, weights["values"], weights["bits"]]


def float_counters(table):
    """What tools say that see no binary layer, or see a float one in it."""
    return {
        "ptflops pytorch": hooked(table, adaptive_pool=True),
        "ptflops aten": evaluated(table, "all_bias").value,
        "fvcore": evaluated(table, "fvcore").value,
        "thop": hooked(table),
        "calflops MACs": evaluated(table, "macs").value,
    }


def hooked(table, adaptive_pool=False):
    """placeholder"""
    return 0


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
    ("*", "Mparams"): ("", lambda table: table.totals().params),
    ("*", "M MACs"): value("macs"),
    ("*", "fwd MACs (G)"): value("macs"),
    ("*", "params"): ("", lambda table: table.totals().params),
    ("ptflops*", "count"): value("all_bias"),
    ("thop*", "count"): value("macs"),
    ("fvcore*", "count"): value("macs"),
    ("*", "what float counters report"): ("", float_counters),
}


@dataclass(frozen=True)
class Ours:
    """A number, and the convention that it is in ("" where no preset is involved)."""

    convention: str
    value: object


@cache
def ours(number):
    """What bopscount says where record `number` says something."""
    figure = FIGURES[number]
    ((convention, read),) = (
        metric
        for (network, name), metric in METRICS.items()
        if fnmatchcase(figure["network"], network) and figure["metric"] == name
    )
    return Ours(convention, read(layers(number)))
