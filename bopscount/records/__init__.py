"""What was executed: recorded layers, their modules and parameters, and totals.

Imports the compiled core, `errors`, and nothing else of the package; no torch.
"""
