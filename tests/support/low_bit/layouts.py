"""One module of each family of adapters, by the attributes that it keeps its widths in."""

from dataclasses import dataclass, field
from types import SimpleNamespace as Space

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from support.low_bit.research import Activation, ByAttributes, Quantiser, binarizer, lsq, named


class Features(nn.Module):
    """A linear layer whose weight is packed or elsewhere."""

    def __init__(self, attributes):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return F.linear(x, torch.empty(6, x.shape[-1], device=x.device))


class Rows(nn.Module):
    """An embedding whose weight is packed or elsewhere."""

    def __init__(self, attributes):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, ids):
        return torch.zeros(*ids.shape, 8)


@dataclass
class Layout:
    """How to build a module of one family.

    Attributes:
        name: Of its class.
        attributes: What the adapter reads.
        module: Path of the class's module.
        form: What the forward does: a convolution, a linear layer, an activation, a look-up.
        optional: Attributes that it does without.
    """

    name: str
    attributes: dict = field(default_factory=dict)
    module: str = "somebody.layers"
    form: str = "conv"
    optional: tuple = ()

    def build(self, without=None):
        kept = {name: value for name, value in self.attributes.items() if name != without}
        if self.form == "conv":
            cls = named(ByAttributes, self.name, self.module)
            return cls(4, 5, 3, bias=False, attributes=kept), (4, 8, 8)
        if self.form == "activation":
            return named(Activation, self.name, self.module)(**kept), (4, 8, 8)
        if self.form == "look-up":
            return named(Rows, self.name, self.module)(kept), None
        return named(Features, self.name, self.module)(kept), (8,)


def numbered(**bits):
    return Quantiser(**bits)


def brevitas_quantiser(bits):
    return Quantiser(is_quant_enabled=True, bit_width=lambda: torch.tensor(float(bits)))


RANGE = {"quant_min": -8, "quant_max": 7}
SIZES = {"in_features": 8, "out_features": 6, "bias": None}
PACKED = {**SIZES, "qweight": torch.zeros(1)}
TABLE = {"num_embeddings": 10, "embedding_dim": 8}
QINT8 = Space(dtype=torch.qint8, shape=(6, 8))


LAYOUTS = {
    "ReActNet, BNext: activations": Layout("HardSign", form="activation"),
    "BinaryNet.pytorch": Layout("BinarizeConv2d"),
    "IR-Net": Layout("IRConv2d"),
    "AdaBin": Layout("AdaBin_Conv2d", {"w_bit": 1, "a_bit": 1}, optional=("w_bit", "a_bit")),
    "binary-networks-pytorch": Layout(
        "Conv2d", {"weight_pre_process": binarizer(), "activation_pre_process": binarizer()},
        "bnn.layers.conv",
    ),
    "bitorch": Layout(
        "_QConv2dComposed",
        {
            "_weight_quantize": Space(bit_width=1),
            "activation": Space(activation_function=Space(bit_width=1)),
        },
    ),
    "BiT, BiBERT, BinaryViT": Layout("QuantizeConv2d", {"weight_bits": 1, "input_bits": 1}),
    "BiT, BiBERT, BinaryViT: embeddings": Layout(
        "QuantizeEmbedding", {"weight_bits": 1}, form="look-up"
    ),
    "OFQ": Layout("QConv2d", {"weight_bits": 2, "input_bits": 2}),
    "EWGS": Layout("QConv", {"weight_levels": 2, "act_levels": 4}),
    "brevitas": Layout(
        "QuantConv2d",
        {"weight_quant": brevitas_quantiser(4), "input_quant": brevitas_quantiser(3)},
        "brevitas.nn.quant_conv", optional=("weight_quant", "input_quant"),
    ),
    "brevitas: activations": Layout(
        "QuantReLU", {"act_quant": brevitas_quantiser(4)}, "brevitas.nn.quant_activation",
        "activation", ("act_quant",),
    ),
    "brevitas: embeddings": Layout(
        "QuantEmbedding", {"weight_quant": brevitas_quantiser(4)}, "brevitas.nn", "look-up",
        ("weight_quant",),
    ),
    "brevitas: quantisers": Layout(
        "ActQuantProxyFromInjector", {"is_quant_enabled": True, "bit_width": lambda: 4},
        "brevitas.proxy.runtime_quant", "activation",
    ),
    "HAWQ": Layout("QuantConv2d", {"weight_bit": 4}),
    "HAWQ: activations": Layout("QuantAct", {"activation_bit": 4}, form="activation"),
    "HAQ": Layout("QConv2d", {"w_bit": 4, "a_bit": 4}),
    "lsq-net": Layout("QuanConv2d", {"quan_w_fn": lsq(7, -8), "quan_a_fn": lsq(15, 0)}),
    "LSQuantization": Layout("Conv2dLSQ", {"nbits": 4}),
    "LSQuantization: activations": Layout("ActLSQ", {"nbits": 4}, form="activation"),
    "DoReFa": Layout("Conv2d_Q", {"w_bit": 4}),
    "DoReFa: activations": Layout("activation_quantize_fn", {"a_bit": 4}, form="activation"),
    "micronet": Layout(
        "QuantConvTranspose2d",
        {"weight_quantizer": numbered(w_bits=4), "activation_quantizer": numbered(a_bits=4)},
    ),
    "NVIDIA ModelOpt, pytorch-quantization": Layout(
        "QuantConv2d",
        {"weight_quantizer": numbered(num_bits=8), "input_quantizer": numbered(num_bits=8)},
    ),
    "NVIDIA ModelOpt: activations": Layout(
        "TensorQuantizer", {"num_bits": 8, "is_enabled": True}, "modelopt.torch.quantization",
        "activation",
    ),
    "BRECQ, QDrop": Layout(
        "QuantModule",
        {"weight_quantizer": numbered(n_bits=4), "act_quantizer": numbered(n_bits=4)},
    ),
    "Bayesian Bits": Layout("QuantizedConv2d", {"n_bits": 4, "n_bits_act": 4}),
    "APoT": Layout("QuantConv2d", {"bit": 4, "act_alq": 1.0}),
    "NNI 2": Layout(
        "QuantizerModuleWrapper",
        {"module": Quantiser(), "quant_bits": {"weight": 4, "input": 4}},
    ),
    "torch.ao QAT, MQBench": Layout(
        "Conv2d",
        {
            "weight_fake_quant": Quantiser(**RANGE),
            "activation_post_process": Quantiser(**RANGE, fake_quant_enabled=1),
        },
        "torch.ao.nn.qat.modules.conv", optional=("activation_post_process",),
    ),
    "torch.ao QAT: activations": Layout(
        "FakeQuantize", RANGE, "torch.ao.quantization.fake_quantize", "activation"
    ),
    "torch.ao converted, dynamic recurrent": Layout(
        "LSTM",
        {
            "get_weight": lambda: {"weight_ih_l0": QINT8}, "input_size": 8, "hidden_size": 6,
            "num_layers": 1, "bias": True, "batch_first": True, "bidirectional": False,
        },
        "torch.ao.nn.quantized.dynamic.modules.rnn", "linear",
    ),
    "torch.ao converted, embeddings": Layout(
        "Embedding", {**TABLE, "weight": lambda: QINT8},
        "torch.ao.nn.quantized.modules.embedding_ops", "look-up",
    ),
    "torch.ao converted, dynamic": Layout(
        "Linear", {"weight": lambda: QINT8, "bias": lambda: None},
        "torch.ao.nn.quantized.dynamic.modules.linear", "linear",
    ),
    "torch.ao converted": Layout(
        "Linear", {"weight": lambda: QINT8, "bias": lambda: None},
        "torch.ao.nn.quantized.modules.linear", "linear",
    ),
    "torch.ao converted: quantisers": Layout(
        "Quantize", {}, "torch.ao.nn.quantized.modules", "activation"
    ),
    "torch.ao converted: back to float": Layout(
        "DeQuantize", {}, "torch.ao.nn.quantized.modules", "activation"
    ),
    "torchao QAT": Layout(
        "FakeQuantizedLinear",
        {
            "weight_fake_quantizer": Space(config=Space(dtype=torch.int4)),
            "activation_fake_quantizer": Space(config=Space(dtype=torch.int8)),
        },
        "torchao.quantization.qat.linear", "linear",
    ),
    "torchao QAT: embeddings": Layout(
        "FakeQuantizedEmbedding",
        {"weight_fake_quantizer": Space(config=Space(dtype=torch.int4))},
        "torchao.quantization.qat.embedding", "look-up",
    ),
    "bitsandbytes, 8-bit embeddings": Layout(
        "Embedding8bit", TABLE, "bitsandbytes.nn.modules", "look-up"
    ),
    "bitsandbytes, 4-bit embeddings": Layout(
        "Embedding4bit", TABLE, "bitsandbytes.nn.modules", "look-up"
    ),
    "bitsandbytes, 8 bit": Layout("Linear8bitLt", SIZES, "bitsandbytes.nn.modules", "linear"),
    "bitsandbytes, 4 bit": Layout("Linear4bit", SIZES, "bitsandbytes.nn.modules", "linear"),
    "transformers BitNet": Layout(
        "BitLinear", SIZES, "transformers.integrations.bitnet", "linear"
    ),
    "optimum-quanto": Layout(
        "QLinear",
        {
            "weight_qtype": Space(bits=4), "activation_qtype": None,
            "weight": nn.Parameter(torch.ones(6, 8)), "bias": None,
        },
        "optimum.quanto.nn.qlinear", "linear",
    ),
    "AutoGPTQ, GPTQModel": Layout(
        "QuantLinear", {**PACKED, "bits": 4}, form="linear", optional=("bias",)
    ),
    "AutoAWQ": Layout("WQLinear_GEMM", {**PACKED, "w_bit": 4}, form="linear", optional=("bias",)),
    "HQQ": Layout(
        "HQQLinear", {"meta": {"nbits": 4, "shape": (6, 8)}, "bias": None}, form="linear",
        optional=("bias",),
    ),
}  # fmt: skip
BY_THEIR_MARK = {
    "XNOR-Net-PyTorch", "XNOR-Net-PyTorch, linear", "PACT", "torchao", "compressed-tensors",
    "NNI 3",
}  # fmt: skip
"""Families whose classes are others' too: only a mark of their own tells them."""
