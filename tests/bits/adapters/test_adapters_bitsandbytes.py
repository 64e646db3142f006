"""bitsandbytes: layers whose weights are packed once they have been moved."""

import pytest
from support.low_bit.libraries import (
    FEATURES,
    IDS,
    PERCEPTRON_PARAMS,
    Perceptron,
    Tokens,
    assert_widths,
    library,
    of_adapter,
)

bnb = library("bitsandbytes.nn")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.libraries]
CLASSES = {
    "Linear8bitLt": (8, 8),
    "Linear4bit": (4, 32),
    "LinearNF4": (4, 32),
    "LinearFP4": (4, 32),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", CLASSES)
def test_linear_layers(name, packed):
    model = Perceptron()
    options = {"has_fp16_weights": False} if name == "Linear8bitLt" else {}
    model.first = getattr(bnb, name)(256, 128, **options)
    model.second = getattr(bnb, name)(128, 64, bias=False, **options)
    if packed:
        model = model.to("cpu")
    expected = dict.fromkeys(("first", "second"), of_adapter(*CLASSES[name]))
    report = assert_widths(
        model, Perceptron(), expected, FEATURES, logical_params=PERCEPTRON_PARAMS
    )
    weights = CLASSES[name][0]
    assert report.bit_summary.params == {weights: PERCEPTRON_PARAMS - 128, 32: 128}


@pytest.mark.parametrize(("name", "bits"), [("Embedding8bit", 8), ("Embedding4bit", 4)])
def test_embeddings(name, bits):
    if not hasattr(bnb, name):
        pytest.skip("this bitsandbytes has none")
    model = Tokens()
    model.embedding = getattr(bnb, name)(16, 64)
    expected = {"head": (32, 32, "floating", "floating")}
    report = assert_widths(model.to("cpu"), Tokens(), expected, inputs=IDS)
    assert report.bit_summary.params == {bits: 16 * 64, 32: 64 * 32 + 32}
