"""Function rules: shapes, dtypes, identity and errors are those of torch's meta kernels."""

import pytest
import torch
from hypothesis import given
from support.against_meta import T, check, examples, in_trace
from support.function_calls import CALLS
from torch import Tensor
from torch.overrides import resolve_name

from bopscount.tracing.functions.registry import FUNCTION_RULES, fast_answers
from bopscount.tracing.functions.tensor_metadata import CHANGES, HANDS_OUT

STAY_ON_META = (Tensor.cpu, Tensor.cuda)
# Torch packs on the CPU only: test_packed_sequences compares their layers with a run for real.
PACKING = (torch._VF._pack_padded_sequence, torch._VF._pad_packed_sequence)
# Answered for constants only, whose values matter: test_constants.
DRAWING = (Tensor.__setitem__,)
# Torch answers them, once the model's tensors are guarded: test_leaves_no_trace.
GUARDED = (*CHANGES, *HANDS_OUT)
# Taken to hold where torch has no values: test_known_values.
CHECKS = (Tensor._is_all_true,)
ELSEWHERE = (*STAY_ON_META, *PACKING, *DRAWING, *GUARDED, *CHECKS)


def name_of(function):
    return resolve_name(function) or function.__name__


# In one order in every process, as pytest-xdist asks.
ANSWERED = sorted({**FUNCTION_RULES, **fast_answers()}, key=name_of)


@pytest.mark.parametrize("function", [f for f in ANSWERED if f not in ELSEWHERE], ids=name_of)
def test_agrees_with_torch(function):
    assert function in CALLS, "a rule without a strategy in function_calls"

    @examples(12)
    @given(CALLS[function])
    def agrees(call):
        check(function, *call)

    agrees()


def test_every_strategy_is_for_a_rule():
    assert [name_of(function) for function in CALLS if function not in ANSWERED] == []


@pytest.mark.parametrize("function", STAY_ON_META, ids=name_of)
def test_a_move_to_a_device_changes_nothing_in_a_trace(function):
    outcome, _ = in_trace(function, (T((2, 3)),), {})
    assert outcome == ("out", ((2, 3), torch.float32, 0))
