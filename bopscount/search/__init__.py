"""Costs of very many candidates of one network.

Imports `tracing` (to trace alternatives), `conventions`, `records` and what is below them.
"""
