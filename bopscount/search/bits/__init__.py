"""Bit-width search: costs of one network at very many assignments of bit widths.

Imports `conventions`, `records`, `search.threads` and what is below them; no torch.
"""
