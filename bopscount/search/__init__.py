"""Costs of very many candidates of one network."""
