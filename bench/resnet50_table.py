"""ResNet-50 as recorded at 1x3x224x224, built from its architecture without torch."""

from __future__ import annotations

import numpy as np

from bopscount import _core

MACS = 4_089_184_256
PARAMS = 25_557_032

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Width, blocks and first stride of each stage."""


class _Recorder:
    """Appends records; `channels` and `side` are those of the current tensor."""

    def __init__(self, channels: int, side: int) -> None:
        self.channels, self.side = channels, side
        self.records: list[dict[str, object]] = []

    def add(self, kind: str, *, channels: int = 0, side: int = 0, **fields: object) -> None:
        """A record from the current tensor to one of `channels` and `side`."""
        channels, side = channels or self.channels, side or self.side
        self.records.append(
            {
                "kind": _core.KINDS[kind],
                "owner": len(self.records),
                "in_channels": self.channels,
                "in_positions": self.side**2,
                "out_channels": channels,
                "out_positions": side**2,
                **fields,
            }
        )
        self.channels, self.side = channels, side

    def conv(self, channels: int, kernel: int, stride: int = 1) -> None:
        weights = channels * self.channels * kernel**2
        self.add(
            "conv",
            channels=channels,
            side=self.side // stride,
            kernel=(kernel, kernel, 1),
            stride=(stride, stride, 1),
            padding=(kernel // 2, kernel // 2, 0),
            weight_elements=weights,
            params=weights,
            logical_params=weights,
        )

    def batch_norm(self) -> None:
        n = self.channels
        self.add(
            "batch_norm", weight_elements=n, bias_elements=n, params=2 * n, logical_params=2 * n
        )

    def conv_norm(self, channels: int, kernel: int, stride: int = 1) -> None:
        self.conv(channels, kernel, stride)
        self.batch_norm()

    def bottleneck(self, width: int, stride: int) -> None:
        channels, side = self.channels, self.side
        self.conv_norm(width, 1)
        self.add("relu")
        self.conv_norm(width, 3, stride)
        self.add("relu")
        self.conv_norm(4 * width, 1)
        if channels != 4 * width:
            self.channels, self.side = channels, side
            self.conv_norm(4 * width, 1, stride)
        self.add(
            "elementwise",
            flags=_core.LAYER_FLAGS["functional"],
            extra_elements=self.channels * self.side**2,
        )
        self.add("relu")


def resnet50_table() -> np.ndarray:
    """Its 174 records: 53 conv, 53 batch_norm, 49 relu, 16 additions, 2 pools, 1 linear."""
    network = _Recorder(channels=3, side=224)
    network.conv_norm(64, 7, 2)
    network.add("relu")
    network.add("max_pool", side=56, kernel=(3, 3, 1), stride=(2, 2, 1), padding=(1, 1, 0))
    for width, n_blocks, stride in _STAGES:
        for block in range(n_blocks):
            network.bottleneck(width, stride if block == 0 else 1)
    network.add("adaptive_avg_pool", side=1)
    weights, biases = 1000 * network.channels, 1000
    network.add(
        "linear",
        channels=1000,
        weight_elements=weights,
        bias_elements=biases,
        params=weights + biases,
        logical_params=weights + biases,
    )
    layers = _core.new_layers(len(network.records))
    for layer, fields in zip(layers, network.records, strict=True):
        for name, value in fields.items():
            layer[name] = value
    return layers


def check_resnet50(layers: np.ndarray) -> None:
    """Its published macs and parameters."""
    totals = dict(zip(_core.METRICS, _core.count_totals(layers), strict=True))
    assert totals["macs"] == MACS, totals["macs"]
    assert totals["params"] == PARAMS, totals["params"]


if __name__ == "__main__":
    table = resnet50_table()
    check_resnet50(table)
    print(f"{table.size} layers, {MACS:,} macs, {PARAMS:,} params")
