"""GPTQModel, AutoAWQ, HQQ: packed integer weights of linear layers."""

import pytest
import torch
from support.low_bit.libraries import assert_widths, library, of_adapter
from torch import nn

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.libraries]
LIKE = nn.Linear(256, 128)
PARAMS = 256 * 128 + 128


def check(layer, bits):
    expected = {"0": of_adapter(bits, 32)}
    assert_widths(nn.Sequential(layer), LIKE, expected, (5, 256), logical_params=PARAMS)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_gptqmodel(bits):
    torch_linear = library("gptqmodel.nn_modules.qlinear.torch").TorchLinear
    layer = torch_linear(
        bits=bits, group_size=32, sym=True, desc_act=False, in_features=256, out_features=128,
        bias=True,
    )  # fmt: skip
    check(layer, bits)


@pytest.mark.parametrize("name", ["WQLinear_GEMM", "WQLinear_GEMV"])
def test_autoawq(name):
    linear = library("awq.modules.linear")
    check(getattr(linear, name)(4, 64, 256, 128, True, "cpu"), 4)


@pytest.mark.parametrize("bits", [8, 4, 3, 2, 1])
def test_hqq(bits):
    hqq = library("hqq.core.quantize")
    config = hqq.BaseQuantizeConfig(nbits=bits, group_size=64)
    layer = hqq.HQQLinear(nn.Linear(256, 128), config, compute_dtype=torch.float32, device="cpu")
    check(layer, bits)
