"""Sources of bit widths: registered classes, adapters, module paths, and values.

Imports `records` and what is below it. Only `value_bits` and `adapters` import torch.
"""
