"""TensorFlow's padding for networks that are written with torch's."""

from torch import nn

from bopscount.networks.layers import SamePadding


def size(value):
    return value[0] if isinstance(value, tuple) else value


def with_same_padding(model):
    """`model` with every padded layer behind a `SamePadding`, and its own padding gone.

    What a layer pads with plays no part in counting.
    """
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, SamePadding) or not size(getattr(child, "padding", 0)):
                continue
            kernel = child.shape[-1] if hasattr(child, "shape") else size(child.kernel_size)
            own = child.padding
            child.padding = (0, 0) if isinstance(own, tuple) else 0
            setattr(module, name, nn.Sequential(SamePadding(kernel, size(child.stride)), child))
    return model
