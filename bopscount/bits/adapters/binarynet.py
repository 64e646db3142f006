"""BinaryNet.pytorch: BinarizeConv2d, BinarizeLinear."""

from bopscount.bits.adapters.family import FLOAT, Family, get
from bopscount.bits.layer_bits import LayerBits

_IMAGE_CHANNELS, _MNIST_PIXELS = 3, 784


def _read(module: object) -> LayerBits:
    # Its forward does not binarise the network's input, which it recognises by size.
    if hasattr(module, "in_channels"):
        raw = get(module, "in_channels") == _IMAGE_CHANNELS
    else:
        raw = get(module, "in_features") == _MNIST_PIXELS
    return LayerBits(weight_bits=1, input_bits=FLOAT if raw else 1)


FAMILY = Family(
    name="BinaryNet.pytorch",
    classes=("BinarizeConv2d", "BinarizeLinear"),
    read=_read,
    where="one bit by name; the input float where it has 3 channels or 784 features",
)
