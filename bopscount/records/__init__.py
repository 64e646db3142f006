"""Recorded layers of a model, their modules and parameters, and totals of costs.

Imports the compiled core, `errors`, and nothing else of the package; no torch.
"""
