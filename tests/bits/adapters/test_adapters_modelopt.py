"""NVIDIA ModelOpt: a quantiser for each operand, some of them off, some in sequence."""

import pytest
import torch
from support.low_bit.libraries import IMAGE, Convolutional, assert_widths, library, of_adapter

modelopt = library("modelopt.torch.quantization")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.libraries]
CONFIGS = {
    "INT8_DEFAULT_CFG": (8, 8),
    "INT8_WEIGHT_ONLY_CFG": (8, 32),
    "FP8_DEFAULT_CFG": (8, 8),
    "INT4_BLOCKWISE_WEIGHT_ONLY_CFG": (4, 32),
    "W4A8_AWQ_BETA_CFG": (4, 8),
    "NVFP4_DEFAULT_CFG": (4, 4),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations(name):
    model = Convolutional().eval()
    images = torch.rand(2, *IMAGE)
    modelopt.quantize(model, getattr(modelopt, name), lambda model: model(images))
    expected = dict.fromkeys(("conv1", "conv2", "fc"), of_adapter(*CONFIGS[name]))
    assert_widths(model, Convolutional(), expected, IMAGE)
