"""NNI 3: layers of torch's classes with a wrapper that runs their forward."""

import pytest
import torch
from support.low_bit.libraries import IMAGE, Convolutional, assert_widths, library, of_adapter

nni = library("nni")
compression = library("nni.compression")
quantization = library("nni.compression.quantization")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.libraries]


@pytest.mark.parametrize(("targets", "widths"), [
    (["_input_", "weight"], of_adapter(4, 4)),
    (["weight"], (4, 32, "adapter", "floating")),
])  # fmt: skip
def test_quantisation_aware_training(targets, widths):
    model = Convolutional().eval()
    config = {
        "op_types": ["Conv2d", "Linear"], "target_names": targets, "quant_dtype": "int4",
        "quant_scheme": "affine", "granularity": "default",
    }  # fmt: skip
    optimiser = nni.trace(torch.optim.SGD)(model.parameters(), lr=0.1)
    evaluator = compression.TorchEvaluator(lambda *args, **kwargs: None, optimiser, lambda *a: None)
    quantization.QATQuantizer(model, [config], evaluator)
    expected = dict.fromkeys(("conv1", "conv2", "fc"), widths)
    assert_widths(model, Convolutional(), expected, IMAGE)
