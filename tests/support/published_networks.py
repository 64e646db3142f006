"""The networks of golden/published.json: those built in, and others in tests/support/networks."""

import re
from fnmatch import fnmatchcase
from functools import partial

import torch
from torch import nn

import bopscount
from bopscount.networks import NETWORKS
from bopscount.networks.binary_densenet import binary_densenet28
from bopscount.networks.birealnet import birealnet18
from bopscount.networks.resnet_e import resnet_e18
from support.networks.inception_v3 import InceptionV3
from support.networks.language_models import Bert, Llama2
from support.networks.mobilenet_v2 import MobileNetV2
from support.networks.nats_bench import NatsBench
from support.networks.resnet18 import ResNet18
from support.networks.resnet50 import ResNet50
from support.networks.same_padding import with_same_padding
from support.networks.small import MctMultiOutput, jet_perceptron, mct_sequential

IMAGE = (3, 224, 224)
BERT_VOCABULARY = 21128
MOBILENET_CLASSES = 1001


def trace(build, size, bits=None, **options):
    """What `build` makes, on the meta device; `bits` by module path."""
    table = bopscount.trace(partial(build), size, **options)
    return table.with_bits(bits) if bits else table


def trace_named(name):
    network = NETWORKS[name]
    dtype = getattr(torch, network.dtype) if network.dtype else None
    return trace(network.build, network.input_size, dtype=dtype)


def trace_on_tokens(build):
    return trace(build, (128,), dtype=torch.int64)


def uniform(figure, first):
    """HAWQ's rows: image, first and last layer at 8 bits, if the others have fewer."""
    bits = first_number(figure["config"])
    return {"*": (bits, bits), first: (8, 8), "fc": (8, 8)}


def chained(figure):
    """The activations of a layer have the bits of the weights before it, the input 32."""
    bits = first_number(figure["config"])
    return {"*": (bits, bits), "0": (bits, 32)}


def nats_bench(figure):
    """ "<cell> C=16 N=5 100 classes"; 10 where it says nothing."""
    classes = re.search(r"(\d+) classes", figure["config"])
    cell = figure["config"].split()[0]
    return trace(lambda: NatsBench(cell, int(classes[1]) if classes else 10), input_of(figure))


NATS_INDEX_0 = {
    "config": "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|"
    "+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "input": "1x3x32x32",
}


def first_number(text):
    return int(re.search(r"\d+", text)[0])


def input_of(figure):
    """The sample's shape in "1x3x32x32"."""
    return tuple(int(size) for size in figure["input"].split("x")[1:])


MCT_SEQUENTIAL = {"0": (2, 8), "1": (2, 16), "2": (2, 4), "4": (2, 8)}
SUBJECTS = {
    ("ReActNet-A", "*"): lambda _: trace_named("reactnet_a"),
    ("ReAct-ResNet18*", "*"): lambda _: trace_named("react_resnet18"),
    ("Bi-Real-Net-18", "*"): lambda _: trace_named("birealnet18"),
    ("Bi-Real-18 variant*", "*"): lambda _: trace_named("binary_resnet18"),
    ("ResNetE18", "7x7*"): lambda _: trace_named("resnet_e18"),
    ("ResNetE18", "grouped*"): lambda _: trace(lambda: resnet_e18(grouped=True), IMAGE),
    ("ResNet-E18 (bitorch)", "*"): lambda _: trace(lambda: resnet_e18(norm_after_stem=True), IMAGE),
    ("DenseNet28", "7x7*"): lambda _: trace_named("binary_densenet28"),
    ("DenseNet28", "grouped*"): lambda _: trace(lambda: binary_densenet28(grouped=True), IMAGE),
    ("QuickNet", "larq*"): lambda _: trace_named("quicknet"),
    ("BiRealNet", "larq*"): lambda _: trace(lambda: with_same_padding(birealnet18()), IMAGE),
    ("BinaryDenseNet28", "larq*"): lambda _: trace(
        lambda: with_same_padding(binary_densenet28()), IMAGE
    ),
    ("ResNet18", "W32A32"): lambda _: trace(ResNet18, IMAGE),
    ("ResNet18", "uniform*"): lambda figure: trace(ResNet18, IMAGE, uniform(figure, "conv1")),
    ("ResNet50 (v1)", "W32A32"): lambda _: trace(ResNet50, IMAGE),
    ("ResNet50", "uniform*"): lambda figure: trace(ResNet50, IMAGE, uniform(figure, "stem.0")),
    ("InceptionV3", "*"): lambda _: trace(InceptionV3, (3, 299, 299)),
    ("JSC MLP*", "*"): lambda figure: trace(jet_perceptron, (16,), chained(figure)),
    ("CNV_?W?A", "*"): lambda figure: trace_named(figure["network"].lower()),
    ("TFC_?W?A", "*"): lambda figure: trace_named(figure["network"].lower()),
    ("MCT sequential*", "*"): lambda _: trace(mct_sequential, (3, 18, 18), MCT_SEQUENTIAL),
    ("MCT multi-output*", "*"): lambda _: trace(MctMultiOutput, (3, 18, 18), {"*": (2, 8)}),
    ("MCT facade*", "*"): lambda _: trace(
        lambda: nn.Sequential(nn.Conv2d(8, 16, 3)), (8, 8, 12), {"*": (4, 8)}
    ),
    ("NATS-Bench*", "|*"): nats_bench,
    ("NATS-Bench*", "same net*"): lambda _: nats_bench(NATS_INDEX_0),
    ("mobilenet_v2_1", "*"): lambda figure: trace(
        lambda: with_same_padding(MobileNetV2(MOBILENET_CLASSES)), input_of(figure)
    ),
    ("llama2-7b", "*"): lambda _: trace_on_tokens(Llama2),
    ("chinese-roberta*", "*"): lambda _: trace_on_tokens(lambda: Bert(BERT_VOCABULARY)),
    ("ptflops Conv2d*", "*"): lambda _: trace(lambda: nn.Conv2d(3, 2, 3), IMAGE),
    ("ptflops ConvT*", "*"): lambda _: trace(lambda: nn.ConvTranspose2d(3, 2, 3, 2), IMAGE),
    ("ptflops Linear*", "*"): lambda _: trace(lambda: nn.Linear(3, 2), (3,)),
    ("thop Conv2d*", "*"): lambda _: trace(lambda: nn.Conv2d(3, 12, 5, padding=1), (3, 32, 32)),
    ("thop ConvTranspose2d(3,*", "*"): lambda _: trace(
        lambda: nn.ConvTranspose2d(3, 1, 2, 2), (3, 2, 2)
    ),
    ("thop ConvTranspose2d(8,*", "*"): lambda _: trace(
        lambda: nn.ConvTranspose2d(8, 4, 3, padding=1, groups=2), (8, 4, 4)
    ),
    ("fvcore conv2d*", "*"): lambda _: trace(
        lambda: nn.Conv2d(10, 3, 3, padding=1, bias=False), (10, 15, 15), batch_size=5
    ),
}
"""(network, config) of a record, as globs, to its traced layers."""


def layers_of(figure):
    """The traced layers of a record's network."""
    (subject,) = (
        make
        for (network, config), make in SUBJECTS.items()
        if fnmatchcase(figure["network"], network) and fnmatchcase(figure["config"], config)
    )
    return subject(figure)
