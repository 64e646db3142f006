"""Rules of LSTM, GRU and RNN layers, without running their steps."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bopscount._core import KINDS, emit

if TYPE_CHECKING:
    from bopscount.tracing.host import TraceHost

_KINDS: dict[type, str] = {nn.LSTM: "lstm", nn.GRU: "gru", nn.RNN: "rnn"}
_RANKS = (2, 3)
_MAX_ARGS = 2


def recurrent_rule(host: TraceHost, module: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
    """Record one op per layer and direction, or return NotImplemented to let torch decide.

    Shapes: input (steps, batch, features), batch first if `module.batch_first`, or unbatched;
    output likewise, with directions x (projection or hidden size) features.
    """
    operand = args[0] if args else None
    packed = operand if isinstance(operand, PackedSequence) else None
    if packed is not None:
        operand = packed.data
    if not isinstance(operand, Tensor) or len(args) > _MAX_ARGS or kwargs or host.real:
        return NotImplemented
    shape, dtype = tuple(operand.shape), operand.dtype
    weight = module.weight_ih_l0
    if len(shape) not in _RANKS or shape[-1] != module.input_size or weight.dtype != dtype:
        return NotImplemented
    if 0 in shape:
        return NotImplemented  # torch accepts only some empty inputs
    directions = 2 if module.bidirectional else 1
    width = module.proj_size or module.hidden_size
    layers = directions * module.num_layers
    batch: tuple[int, ...] = ()
    if packed is not None:
        if packed.batch_sizes.is_meta:
            return NotImplemented
        batch = (int(packed.batch_sizes[0]),)
    elif len(shape) == 3:  # noqa: PLR2004
        batch = (shape[0] if module.batch_first else shape[1],)
    kind, name = _KINDS[type(module)], type(module).__name__
    states = [(layers, *batch, width)]
    if kind == "lstm":
        states.append((layers, *batch, module.hidden_size))
    given = args[1] if len(args) > 1 and args[1] is not None else ()
    given = given if isinstance(given, (tuple, list)) else (given,)
    if given and [tuple(state.shape) for state in given] != states:
        return NotImplemented
    if any(state.dtype != dtype for state in given):
        return NotImplemented
    steps = prod(shape[:-1])
    output_shape = (*shape[:-1], directions * width)
    for suffix in recurrent_suffixes(module):
        fields = recurrent_fields(module, suffix, steps)
        # All layers' outputs have the same shape; the last one is the module's.
        output = emit(KINDS[kind], name, (operand, *given), output_shape, dtype, fields=fields)
    another = host.tracer.another
    if packed is not None:
        output = PackedSequence(output, *packed[1:])
    made = tuple(another(state, dtype) for state in states)
    return output, made if kind == "lstm" else made[0]


def recurrent_suffixes(module: Any) -> list[str]:
    """Return torch's suffixes of weight names, one per layer and direction."""
    directions = ["", "_reverse"] if module.bidirectional else [""]
    return [
        f"_l{layer}{direction}" for layer in range(module.num_layers) for direction in directions
    ]


def recurrent_fields(module: Any, suffix: str, steps: int) -> dict[str, Any]:
    """Return the record fields of one layer and direction; `steps` is steps x batch."""
    input_weight = getattr(module, "weight_ih" + suffix)
    hidden_weight = getattr(module, "weight_hh" + suffix)
    projection = getattr(module, "weight_hr" + suffix, None)
    bias = getattr(module, "bias_ih" + suffix, None)
    weights = [input_weight, hidden_weight] + ([] if projection is None else [projection])
    state_size = hidden_weight.shape[1]
    return {
        "batch": steps,
        "in_channels": input_weight.shape[1],
        "in_positions": 1,
        "out_channels": state_size,
        "out_positions": 1,
        "extra_elements": steps * state_size,
        "weight_elements": sum(weight.numel() for weight in weights),
        "weight_bits": 8 * input_weight.itemsize,
        "weight_item_bytes": input_weight.itemsize,
        "bias_elements": 0 if bias is None else 2 * bias.numel(),
        "kernel": (module.hidden_size, 1, 1),
    }
