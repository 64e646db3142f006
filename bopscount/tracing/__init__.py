"""From a model to records: which op ran in which module, on which shapes.

Imports `bits`, `records` and what is below them. Computes no cost.
"""
