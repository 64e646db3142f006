"""Costs of very many candidates of one network."""

from bopscount.search.choice_table import ChoiceTable

__all__ = ["ChoiceTable"]
