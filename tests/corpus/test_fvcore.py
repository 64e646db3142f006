"""The convention "fvcore" is what fvcore counts."""

import logging
import warnings

import pytest
import torch

import bopscount

fvcore = pytest.importorskip("fvcore.nn")
models = pytest.importorskip("torchvision.models")
pytestmark = pytest.mark.corpus


# Its blind spot is left out: a model whose attention is one fused op (torchvision's ViT).
@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "squeezenet1_1", "convnext_tiny", "swin_t"]
)
def test_the_convention_counts_what_fvcore_counts(name):
    model = getattr(models, name)().eval()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the deprecated tracer that it runs on
            count = fvcore.FlopCountAnalysis(model, torch.zeros(1, 3, 224, 224)).total()
    finally:
        logging.disable(logging.NOTSET)
    table = bopscount.trace(model, (3, 224, 224))
    assert bopscount.convention_value(table, "fvcore") == count
