"""Where bit widths come from: registered classes, adapters, paths, and values.

Imports `records` and what is below it. Only `value_bits` and the adapters of tensors import torch.
"""
