"""Every family of the table: what it needs, what it says where that is missing, its page."""

import importlib.util

import pytest
import torch
from support.low_bit.layouts import BY_THEIR_MARK, LAYOUTS
from support.low_bit.research import conv
from support.paths import ROOT
from torch import nn

import bopscount
from bopscount.bits.adapters import FAMILIES, ODD, adapter_for

BY_NAME = {family.name: family for family in (*FAMILIES, *ODD)}
NEEDED = [
    (name, attribute)
    for name, layout in LAYOUTS.items()
    for attribute in layout.attributes
    if attribute not in layout.optional
]
FULL_PRECISION = (32, None)


def test_every_family_has_a_layout_here():
    assert set(BY_NAME) == set(LAYOUTS) | BY_THEIR_MARK


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_whole_layout_is_read_by_its_family(name):
    module, _ = LAYOUTS[name].build()
    bits, inner = adapter_for(module)
    assert inner is None
    assert bits == BY_NAME[name].read(module) or bits.stand_in is not None
    assert bits.assumptions == ()
    assert {bits.weight_bits, bits.input_bits, bits.output_bits} != {None}


@pytest.mark.parametrize(("name", "attribute"), NEEDED)
def test_a_missing_attribute_is_named_and_the_layer_is_full_precision(name, attribute):
    layout = LAYOUTS[name]
    module, size = layout.build(without=attribute)
    given = {"inputs": torch.zeros(1, 3, dtype=torch.long)} if size is None else {}
    model = nn.Sequential(module)
    report = bopscount.count(bopscount.trace(model, size, **given), rules="full")
    (assumption,) = report.assumptions
    for words in (f"0: {layout.name} ", f"`{attribute}", f"({name})", "full precision"):
        assert words in assumption
    assert {(row.weight_bits, row.input_bits) for row in report.layers} <= {(32, 32), (None, None)}
    assert report.totals.bops == 0


@pytest.mark.parametrize(
    ("family", "attributes"),
    [
        ("compressed-tensors", {"quantization_scheme": object()}),
        ("NNI 3", {"_nni_wrapper": nn.Identity()}),
    ],
)
def test_a_mark_without_the_rest_is_said(family, attributes):
    module = conv("Conv2d", "somebody.layers", **attributes)
    table = bopscount.trace(module, (4, 8, 8))
    (assumption,) = table.assumptions
    assert f"({family})" in assumption
    assert bopscount.count(table).totals.bops == 0


def test_the_page_of_adapters_is_the_table_s():
    path = ROOT / "docs" / "adapters_page.py"
    spec = importlib.util.spec_from_file_location("adapters_page", path)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    text = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")
    assert text == generator.page(), "run python docs/adapters_page.py"
