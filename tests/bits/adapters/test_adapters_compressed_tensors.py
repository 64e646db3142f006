"""compressed-tensors: schemes on plain layers, before and after compression."""

import pytest
from support.low_bit.libraries import (
    FEATURES,
    PERCEPTRON_PARAMS,
    Perceptron,
    assert_widths,
    library,
    of_adapter,
)

quantization = library("compressed_tensors.quantization")
compressors = library("compressed_tensors.compressors")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.libraries]
SCHEMES = {
    "W8A8": (8, 8), "W4A16": (4, 32), "W8A16": (8, 32), "FP8": (8, 8), "FP8_DYNAMIC": (8, 8),
    "NVFP4": (4, 4), "W4A8": (4, 8), "INT8": (8, 8),
}  # fmt: skip


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", SCHEMES)
def test_schemes(name, compressed):
    model = Perceptron().eval()
    scheme = quantization.preset_name_to_scheme(name, ["Linear"])
    config = quantization.QuantizationConfig(config_groups={"all": scheme})
    quantization.apply_quantization_config(model, config)
    packed = False
    if compressed:
        compressors.ModelCompressor(quantization_config=config).compress_model(model)
        packed = hasattr(model.first, "weight_packed")
    expected = dict.fromkeys(("first", "second"), of_adapter(*SCHEMES[name]))
    report = assert_widths(model, Perceptron(), expected, FEATURES)
    if packed:
        assert report.totals.logical_params == PERCEPTRON_PARAMS
