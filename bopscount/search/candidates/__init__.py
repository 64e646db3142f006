"""Shape search: costs of one network with other channels, windows, or input sizes.

Imports `records`, `search.threads` and what is below them; no torch.
"""
