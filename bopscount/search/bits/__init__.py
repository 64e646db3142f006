"""Bit-width search: one network, very many assignments of bit widths."""
