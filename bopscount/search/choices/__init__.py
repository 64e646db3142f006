"""Choice search: a chain of slots, each with several alternative modules, and candidates' costs.

Imports `tracing` and `bits` (to trace alternatives), `records`, `search.threads` and what is
below them. Only `trace` and `expectation` import torch.
"""
