"""transformers' BitNet: packed and online layers, and a whole language model."""

import pytest
import torch
from support.low_bit.libraries import (
    FEATURES,
    PERCEPTRON_PARAMS,
    Perceptron,
    assert_widths,
    found,
    library,
    of_adapter,
    report_of,
)

bitnet = library("transformers.integrations.bitnet")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.libraries]
EXPECTED = dict.fromkeys(("first", "second"), of_adapter(2, 8))


def test_packed_weights_count_by_logical_shape():
    model = Perceptron()
    kind = {"device": "cpu", "dtype": torch.float32}
    model.first = bitnet.BitLinear(256, 128, bias=True, **kind)
    model.second = bitnet.BitLinear(128, 64, bias=False, **kind)
    assert model.first.weight.shape == (32, 256)
    assert_widths(model, Perceptron(), EXPECTED, FEATURES, logical_params=PERCEPTRON_PARAMS)


@pytest.mark.parametrize("online", [False, True])
def test_weights_that_are_quantised_on_the_way(online):
    model = Perceptron()
    model.first = bitnet.AutoBitLinear(256, 128, bias=True, online_quant=online)
    model.second = bitnet.AutoBitLinear(128, 64, bias=False, online_quant=online)
    assert_widths(model, Perceptron(), EXPECTED, FEATURES, logical_params=PERCEPTRON_PARAMS)


def test_a_language_model():
    transformers = library("transformers")
    config = transformers.BitNetConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    model = transformers.BitNetForCausalLM(config).eval()
    ids = torch.tensor([[1, 2, 3]])
    plain = report_of(model, inputs={"input_ids": ids})
    for path, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and "layers" in path:
            sizes = module.in_features, module.out_features
            layer = bitnet.AutoBitLinear(*sizes, bias=False, online_quant=True)
            model.set_submodule(path, layer)
    report = report_of(model, inputs={"input_ids": ids})
    assert report.totals.macs == plain.totals.macs
    widths = found(report)
    projections = [path for path in widths if path.endswith("_proj")]
    assert len(projections) == 7
    assert {widths[path] for path in projections} == {of_adapter(2, 8)}
    assert widths["lm_head"] == (32, 32, "floating", "floating")
