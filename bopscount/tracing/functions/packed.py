"""Packed sequences, whose lengths are constants that torch may read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bopscount._core import KINDS, emit
from bopscount.tracing.functions.registry import rule
from bopscount.tracing.host import TraceHost


@rule("move.pack_padded_sequence")
def _pack(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 3 or host.real:
        return NotImplemented
    x, lengths, batch_first = args
    if not isinstance(lengths, Tensor) or lengths.is_meta or x.dim() < 2:
        return NotImplemented
    # torch's own batch sizes and errors, from a placeholder with one feature.
    data, batch_sizes = func(torch.zeros(*x.shape[:2], 1), lengths, batch_first)
    shape = (data.shape[0], *x.shape[2:])
    return emit(KINDS["move"], "pack_padded_sequence", (x,), shape), batch_sizes


@rule("move.pad_packed_sequence")
def _pad(host: TraceHost, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs or len(args) != 5 or host.real or args[1].is_meta:
        return NotImplemented
    data = args[0]
    padded, lengths = func(torch.zeros(data.shape[0], 1), *args[1:])
    shape = (*padded.shape[:2], *data.shape[1:])
    return emit(KINDS["move"], "pad_packed_sequence", (data,), shape), lengths
