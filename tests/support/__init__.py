"""Helpers of the tests: reference models, cases, networks, and checks that spell out assertions."""
