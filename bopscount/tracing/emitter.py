"""Recording ops by the tensors they took and gave."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bopscount._core import KINDS, Tracer, emit


class Emitter:
    """Records ops that torch has run already."""

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
        """Records one op in the running module.

        Args:
            kind: Name of an op table row.
            op: What torch calls it.
            operand: First operand.
            output: Output; from here on the op is its producer.
            others: Further operands: who made them is recorded too.
            channel_axis: Where the channels are, 1 or -1, or the dimension of a softmax; by
                default what the kind's row says.
            batched: Whether dimension 0 is the batch.
            fields: Further fields of the record, or others in place of these.
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
