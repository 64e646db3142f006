"""Every op kind has its answers: as a module, a function, an ATen op, in a search of shapes.

A kind without one stands in a list that says why.
"""

import pytest
import torch

from bopscount._core import LEAF_RULES as CORE_RULES
from bopscount._core import OP_TABLE
from bopscount.search.candidates.follow import FOLLOW_RULES, NOT_FOLLOWED
from bopscount.tracing.aten_rules import ATEN_RULES
from bopscount.tracing.classes import LEAF_RULES
from bopscount.tracing.functions import ANSWERS  # noqa: F401 - it registers the rules
from bopscount.tracing.functions.registry import FUNCTION_RULES, fast_answers, groups
from bopscount.tracing.torch_names import NOT_NAMED, TORCH_NAMES

KINDS = [row["name"] for row in OP_TABLE]
# Of other torch versions, or of builds for a GPU or another processor.
NOT_IN_EVERY_TORCH = {
    "_convolution", "cudnn_convolution", "convolution_overrideable", "mkldnn_rnn_layer",
    "var_mean.correction", "_scaled_dot_product_fused_attention_overrideable", "_fused_rms_norm",
    "_safe_softmax", "_scaled_dot_product_attention_math_for_mps",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_torch_has_names_for_it_or_a_reason_says_why_not(kind):
    assert (kind in TORCH_NAMES) != (kind in NOT_NAMED)
    if kind in TORCH_NAMES:
        names = TORCH_NAMES[kind]
        # Transposed convolutions are modules; in the dispatcher they are convolutions.
        assert names.modules or names.functions or any(names.aten.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_of_shapes_follows_it_or_a_reason_says_why_not(kind):
    assert (kind in FOLLOW_RULES) != (kind in NOT_FOLLOWED)


def test_lists_of_reasons_name_kinds_and_give_reasons():
    for reasons in (NOT_NAMED, NOT_FOLLOWED):
        assert {*reasons} <= {*KINDS}
        assert all(len(reason) > 4 for reason in reasons.values())


def test_every_leaf_rule_of_the_core_answers_a_class_and_every_class_has_one():
    named = {rule or kind for kind, names in TORCH_NAMES.items() for rule in names.modules.values()}
    assert named == {*CORE_RULES}
    assert {rule for rule in LEAF_RULES.values() if isinstance(rule, str)} == named


@pytest.mark.parametrize(
    ("kind", "group"),
    list(groups()),
    ids=[f"{kind}.{group.op or kind}" for kind, group in groups()],
)
def test_every_group_of_functions_has_a_rule_or_a_fast_answer(kind, group):
    fast = fast_answers()
    for function in group.functions:
        assert function in FUNCTION_RULES or function in fast


@pytest.mark.parametrize("kind", TORCH_NAMES)
def test_every_aten_name_has_a_rule_and_is_torch_s(kind):
    for listed in TORCH_NAMES[kind].aten.values():
        for name in listed:
            assert name in ATEN_RULES
            base = name.partition(".")[0]
            found = any(hasattr(torch.ops.aten, form) for form in (base, f"{base}_", f"_{base}"))
            assert found or name in NOT_IN_EVERY_TORCH, name


def test_no_name_of_the_dispatcher_stands_twice():
    listed = [n for names in TORCH_NAMES.values() for group in names.aten.values() for n in group]
    assert len(listed) == len(set(listed)) == len(ATEN_RULES)
