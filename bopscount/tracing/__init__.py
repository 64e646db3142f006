"""Tracing of a model to records: the op, module and shapes of each.

Imports `bits`, `records` and what is below them. Computes no cost.
"""
