"""Recording of ops by their operand and output tensors."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bopscount._core import KINDS, Tracer, emit


class Emitter:
    """Recorder of ops that torch has already run."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer

    def add(
        self,
        kind: str,
        op: str,
        operand: Tensor,
        output: Tensor,
        *,
        others: tuple[Tensor, ...] = (),
        channel_axis: int | None = None,
        batched: bool = True,
        **fields: Any,
    ) -> None:
        """Record one op in the running module.

        Args:
            kind: Name of an op table row.
            op: torch's name of the op.
            operand: First operand.
            output: Output; the op becomes its producer.
            others: Further operands; their producers are recorded too.
            channel_axis: Channel dimension, 1 or -1, or the dimension of a softmax; by default
                that of the kind's row.
            batched: Whether dimension 0 is the batch.
            fields: Further fields of the record, or overrides of these.
        """
        fields.setdefault("extra_elements", 0)
        axis = {} if channel_axis is None else {"channel_axis": channel_axis}
        emit(
            KINDS[kind],
            op,
            (operand, *others),
            tuple(output.shape),
            output.dtype,
            batched=batched,
            fields=fields,
            into=output,
            **axis,
        )
