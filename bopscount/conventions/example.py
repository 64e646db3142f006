"""Example network for the worked numbers of all conventions."""

from __future__ import annotations

from typing import Any

import bopscount._core as _core
from bopscount.records.table import Records

_IMAGE = {"in_positions": 64, "out_positions": 64}
_ADAPTER = _core.BIT_SOURCES["adapter"]
_SOURCES = {"weight_bits_source": _ADAPTER, "input_bits_source": _ADAPTER}

LAYERS: dict[str, dict[str, Any]] = {
    "a 3x3 convolution of 3 to 8 channels on 8x8 positions, padded, without bias": {
        "kind": "conv", "in_channels": 3, "out_channels": 8, "kernel": (3, 3, 1), **_IMAGE,
        "weight_elements": 216, "nonzero_weights": 216, "params": 216,
    },
    "a batch norm": {
        "kind": "batch_norm", "in_channels": 8, "out_channels": 8, **_IMAGE,
        "weight_elements": 8, "bias_elements": 8, "params": 16,
    },
    "a binary activation": {
        "kind": "quantize", "in_channels": 8, "out_channels": 8, **_IMAGE,
        "output_bits": 1, "output_bits_source": _ADAPTER,
    },
    "a binary 3x3 convolution of 8 to 8 channels, padded, without bias": {
        "kind": "conv", "in_channels": 8, "out_channels": 8, "kernel": (3, 3, 1), **_IMAGE,
        "weight_elements": 576, "nonzero_weights": 576, "params": 576,
        "weight_bits": 1, "input_bits": 1, **_SOURCES,
    },
    "an 8-bit transposed 2x2 convolution of 8 to 4 channels, stride 2, half of its weights zero": {
        "kind": "conv_transpose", "in_channels": 8, "out_channels": 4, "kernel": (2, 2, 1),
        "in_positions": 64, "out_positions": 256,
        "weight_elements": 128, "nonzero_weights": 64, "params": 128,
        "weight_bits": 8, "input_bits": 8, **_SOURCES,
    },
    "adaptive average pooling to 1x1": {
        "kind": "adaptive_avg_pool", "in_channels": 4, "out_channels": 4, "in_positions": 256,
    },
    "a linear layer of 4 to 10 with bias": {
        "kind": "linear", "in_channels": 4, "out_channels": 10, "weight_elements": 40,
        "nonzero_weights": 40, "bias_elements": 10, "params": 50,
    },
}  # fmt: skip
"""Description of a layer -> fields of its record. MACs of the four layers with weights:
8 x 64 x 27 = 13,824; 8 x 64 x 72 = 36,864 binary; 8 x 64 x 16 = 8,192 of 8 bits; 40."""


def example_table() -> Records:
    """Return `LAYERS` as a table with one row per layer."""
    records = _core.new_layers(len(LAYERS))
    for index, fields in enumerate(LAYERS.values()):
        values = {**fields, "kind": _core.KINDS[fields["kind"]], "owner": index}
        values["logical_params"] = fields.get("params", 0)
        for name, value in values.items():
            records[name][index] = value
    return Records.from_array(records)
