"""The best that numpy does for a bit-width search: sums of MACs x weight bits x input bits.

Every formulation is exact for the candidates of the benchmark, whose widths are 16 or less and
whose sums are below 2^53; the fastest one is the rival. None of them checks a width.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BLOCK = 4096
DIGIT_BITS = 12
"""Of the coefficients in float32: 64 layers x 8 x 8 bits x 2^12 are 2^24."""


def int64_einsum(weights: np.ndarray, inputs: np.ndarray, macs: np.ndarray) -> np.ndarray:
    out = np.empty(len(weights), np.int64)
    for start in range(0, len(out), BLOCK):
        block = slice(start, start + BLOCK)
        products = np.multiply(weights[block], inputs[block], dtype=np.uint16)
        np.einsum("ij,j->i", products.astype(np.int64), macs, out=out[block])
    return out


def int64_matmul(weights: np.ndarray, inputs: np.ndarray, macs: np.ndarray) -> np.ndarray:
    out = np.empty(len(weights), np.int64)
    for start in range(0, len(out), BLOCK):
        block = slice(start, start + BLOCK)
        products = np.multiply(weights[block], inputs[block], dtype=np.uint16)
        np.matmul(products.astype(np.int64), macs, out=out[block])
    return out


def float64_at_once(weights: np.ndarray, inputs: np.ndarray, macs: np.ndarray) -> np.ndarray:
    products = np.multiply(weights, inputs, dtype=np.float64)
    return (products @ macs.astype(np.float64)).astype(np.int64)


def float64_blocks(weights: np.ndarray, inputs: np.ndarray, macs: np.ndarray) -> np.ndarray:
    out = np.empty(len(weights), np.int64)
    coefficients = macs.astype(np.float64)
    products = np.empty((BLOCK, weights.shape[1]))
    for start in range(0, len(out), BLOCK):
        block = slice(start, start + BLOCK)
        into = products[: len(weights[block])]
        into[...] = np.multiply(weights[block], inputs[block], dtype=np.uint16)
        out[block] = into @ coefficients
    return out


def float32_digits(weights: np.ndarray, inputs: np.ndarray, macs: np.ndarray) -> np.ndarray:
    """Three digits a coefficient, so that every sum of products is below 2^24."""
    out = np.empty(len(weights), np.int64)
    shifts = np.arange(0, int(macs.max()).bit_length(), DIGIT_BITS)
    digits = ((macs[:, None] >> shifts) & ((1 << DIGIT_BITS) - 1)).astype(np.float32)
    scales = np.float64(2) ** shifts
    products = np.empty((BLOCK, weights.shape[1]), np.float32)
    for start in range(0, len(out), BLOCK):
        block = slice(start, start + BLOCK)
        into = products[: len(weights[block])]
        # 8 x 8 bits fit into a byte.
        into[...] = weights[block] * inputs[block]
        out[block] = (into @ digits).astype(np.float64) @ scales
    return out


FORMULATIONS: tuple[Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray], ...] = (
    int64_einsum,
    int64_matmul,
    float64_at_once,
    float64_blocks,
    float32_digits,
)
