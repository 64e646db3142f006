"""Leaf modules: the rules' shapes, dtypes and errors are those of torch's meta kernels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.against_meta import FLOATS, MOST_DTYPES, T, check, examples
from support.leaf_cases import CASES, build
from support.recurrent_cases import CELLS, RECURRENT
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from bopscount._core import LEAF_RULES as CORE_RULES
from bopscount.tracing.classes import LEAF_RULES

DTYPES = st.sampled_from([torch.float32] * 4 + list(FLOATS))


def test_every_leaf_rule_is_tested():
    assert {*CASES, *RECURRENT} == set(LEAF_RULES)
    assert {rule for rule in LEAF_RULES.values() if isinstance(rule, str)} == set(CORE_RULES)


@pytest.mark.parametrize("cls", CASES, ids=lambda cls: cls.__name__)
def test_shape_dtype_and_errors_of(cls):
    @examples(20)
    @given(CASES[cls], DTYPES, st.none() | MOST_DTYPES, st.booleans())
    def agrees(case, dtype, input_dtype, plain):
        kwargs, shape = case
        if plain:
            input_dtype = torch.int64 if cls is nn.Embedding else dtype
        module = build(cls, kwargs, dtype)
        # Whether torch gives the input itself or a view of it matters to in-place ops only.
        same = kwargs.get("inplace", False) and not isinstance(module, _DropoutNd)
        check(module, (T(shape, input_dtype or dtype),), same=same)

    agrees()


@pytest.mark.parametrize("cls", [*RECURRENT, *CELLS], ids=lambda cls: cls.__name__)
def test_outputs_and_states_of(cls):
    @examples(20)
    @given({**RECURRENT, **CELLS}[cls], st.sampled_from([torch.float32] * 6 + list(FLOATS)))
    def agrees(case, dtype):
        kwargs, args, named = case
        check(build(cls, kwargs, dtype), args, named)

    agrees()
