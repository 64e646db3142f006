"""The record's layout and the op table, and the arrays that the core refuses to read."""

import re

import numpy as np
import pytest
from support.paths import ROOT
from support.reference import DEFAULTS, FULL, METRICS, TORCHSTAT, sizes_of

from bopscount import _core

LAYER_HEADER = ROOT / "csrc" / "core" / "layer.hpp"
CPP_TYPES = {
    "std::int64_t": "i8",
    "std::int32_t": "i4",
    "std::uint16_t": "u2",
    "std::uint8_t": "u1",
    "BitSource": "u1",
}
FORMULA_COLUMNS = (
    "full_flops",
    "full_madd",
    "torchstat_flops",
    "torchstat_madd",
    "torchstat_read",
    "torchstat_write",
)
TERMS = {
    "macs",
    "biases",
    "inputs",
    "scaled_inputs",
    "outputs",
    "window",
    "scores",
    "rows",
    "batch",
    "channels",
    "weights",
    "scatter",
    "scatter_bias",
    "masked_scores",
    "biased_scores",
}
ROWS = [pytest.param(row, id=row["name"]) for row in _core.OP_TABLE]


def struct_fields():
    """The (name, numpy type, length) of each field of struct Layer, as its header has them."""
    if not LAYER_HEADER.exists():
        pytest.skip("csrc is not here")
    body = LAYER_HEADER.read_text().split("struct Layer {")[1].split("bool low_bit()")[0]
    fields = re.findall(r"^  ([\w:]+) (\w+)(?:\[(\d+)\])?(?: = .*|)(?:\{.*\})?;", body, re.M)
    return [(name, CPP_TYPES[cpp_type], int(length or 1)) for cpp_type, name, length in fields]


def test_a_record_is_192_bytes_without_gaps():
    fields = _core.LAYER_DTYPE.fields
    offset = 0
    for name in _core.LAYER_DTYPE.names:
        dtype, at = fields[name][:2]
        assert at == offset, name
        offset += dtype.itemsize
    assert offset == _core.LAYER_DTYPE.itemsize == 192


def test_fields_are_those_of_the_struct_in_its_order():
    fields = struct_fields()
    assert _core.LAYER_DTYPE.names == tuple(name for name, _, _ in fields)
    for name, numpy_type, length in fields:
        dtype = _core.LAYER_DTYPE[name]
        assert (dtype.base, dtype.shape) == (np.dtype(numpy_type), (length,) if length > 1 else ())


def test_new_layers_have_every_field_at_its_default():
    ones = {"calls", "batch", "in_channels", "in_positions", "out_channels", "out_positions"}
    ones |= {"groups", "kernel", "stride", "dilation"}
    others = dict.fromkeys(("input_bits", "weight_bits", "output_bits"), 32)
    others |= dict.fromkeys(("input_item_bytes", "output_item_bytes", "weight_item_bytes"), 4)
    others["nonzero_weights"] = -1
    layers = _core.new_layers(3)
    assert layers.dtype == _core.LAYER_DTYPE
    assert layers.shape == (3,)
    for name in layers.dtype.names:
        assert (layers[name] == others.get(name, int(name in ones))).all(), name


def test_defaults_of_the_reference_are_those_of_the_record():
    record = _core.new_layers(1)[0]
    for name, value in DEFAULTS.items():
        assert np.array_equal(record[name], 0 if name == "kind" else value), name


def test_a_negative_number_of_layers_is_refused():
    with pytest.raises(ValueError, match="n_layers must not be negative, got -1"):
        _core.new_layers(-1)


def test_costs_are_packed_int64_in_the_order_of_metrics():
    assert _core.METRICS == METRICS
    assert np.dtype([(metric, np.int64) for metric in METRICS]) == _core.COST_DTYPE


def test_bit_sources_and_flags_are_distinct():
    assert sorted(_core.BIT_SOURCES.values()) == list(range(6))
    assert _core.BIT_SOURCES["floating"] == 0
    assert sorted(_core.LAYER_FLAGS.values()) == [2**bit for bit in range(7)]


def test_kinds_number_the_rows_and_kind_0_is_invalid():
    names = [row["name"] for row in _core.OP_TABLE]
    assert names == list(_core.KINDS)
    assert list(_core.KINDS.values()) == list(range(len(names)))
    assert names[0] == "invalid"


@pytest.mark.parametrize("row", ROWS)
def test_every_kind_is_described_and_has_complete_rules(row):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", row["name"])
    assert row["doc"].endswith(".")
    assert row["source"]
    assert row["full_flops"]
    assert row["full_madd"]
    assert bool(row["torchstat_read"]) == bool(row["torchstat_write"])


def terms_of(formula):
    """The (multiple, term) pairs of a printed formula such as "2*macs - outputs"."""
    terms = [] if formula in {"", "0"} else re.split(r" (?=[+-] )", formula)
    pairs = []
    for text in terms:
        sign, multiple, term = re.fullmatch(r"([+-] )?(?:(\d+)\*)?(\w+)", text).groups()
        pairs.append((int(multiple or 1) * (-1 if sign == "- " else 1), term))
    return pairs


@pytest.mark.parametrize("row", ROWS)
def test_formulas_only_name_known_terms(row):
    for column in FORMULA_COLUMNS:
        named = {term for _, term in terms_of(row[column])}
        assert named <= TERMS
        assert bool(row["macs"]) or "macs" not in named
    words = {"outputs", "inputs", "in_channels", "out_channels", "groups", "kernel", "batch"}
    words |= {"weight_elements", "rows"}
    assert set(re.findall(r"[a-z_]+", row["macs"])) <= words


def test_every_term_is_used():
    used = {term for row in _core.OP_TABLE for c in FORMULA_COLUMNS for _, term in terms_of(row[c])}
    assert used == TERMS


@pytest.mark.parametrize("row", ROWS)
def test_printed_formulas_are_those_of_the_reference(row):
    fields = DEFAULTS | {
        "batch": 2,
        "in_channels": 3,
        "in_positions": 5,
        "out_channels": 7,
        "out_positions": 11,
        "weight_elements": 13,
        "bias_elements": 17,
        "kernel": (19, 23, 1),
        "flags": _core.LAYER_FLAGS["masked"],
    }
    sizes = sizes_of(fields, macs=10**6)
    assert bool(sizes.biases and sizes.scaled_inputs and sizes.masked_scores)

    def value(column):
        return sum(multiple * getattr(sizes, term) for multiple, term in terms_of(row[column]))

    assert (value("full_flops"), value("full_madd")) == FULL[row["name"]](sizes)
    columns = TORCHSTAT.get(row["name"], lambda _: {})(sizes)
    for name in ("flops", "madd", "read", "write"):
        if row[f"torchstat_{name}"]:
            assert value(f"torchstat_{name}") == columns.get(name, 0), name
        else:
            assert name not in columns


def layer_costs(layers):
    return _core.layer_costs(layers)


def count_totals(layers):
    return _core.count_totals(layers)


def count_groups(layers):
    return _core.count_groups(layers, np.zeros(layers.size, np.int32), 1)


COUNTS = (layer_costs, count_totals, count_groups)


def layers_of(n_layers):
    layers = _core.new_layers(n_layers)
    layers["kind"] = _core.KINDS["relu"]
    return layers


def unaligned(array):
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    view = buffer[1:].view(array.dtype)
    view[:] = array
    assert view.ctypes.data % 4 != 0
    return view


def with_fields_swapped(dtype):
    """The same bytes, read under each other's names: calls as params, params as calls."""
    names = list(dtype.names)
    names[:2] = names[1::-1]
    swapped = np.dtype([(name, *dtype.descr[i][1:]) for i, name in enumerate(names)])
    assert swapped.itemsize == dtype.itemsize
    return swapped


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype(np.int64),
        np.dtype("V192"),
        _core.COST_DTYPE,
        _core.LAYER_DTYPE.newbyteorder(),
        with_fields_swapped(_core.LAYER_DTYPE),
        np.dtype([*_core.LAYER_DTYPE.descr, ("more", "u1")]),
    ],
    ids=["int64", "void", "costs", "byte-swapped", "fields swapped", "one more field"],
)
def test_arrays_of_another_dtype_are_refused(count, dtype):
    with pytest.raises(TypeError, match=r"^layers must have dtype .*, got "):
        count(np.zeros(4, dtype))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "layers",
    [
        layers_of(4)[::2],
        layers_of(4)[::-1],
        layers_of(4).reshape(2, 2),
        layers_of(1).reshape(()),
        np.broadcast_to(layers_of(1), 3),
        unaligned(layers_of(2)),
    ],
    ids=["strided", "reversed", "2-D", "0-D", "broadcast", "unaligned"],
)
def test_arrays_that_are_not_plain_are_refused(count, layers):
    with pytest.raises(ValueError, match=r"^layers must be one-dimensional, C-contiguous and"):
        count(layers)


@pytest.mark.parametrize("layers", [None, [], [1], "relu"])
def test_what_is_not_an_array_is_refused(layers):
    with pytest.raises(TypeError):
        _core.count_totals(layers)


def test_costs_go_into_out_and_out_is_returned():
    layers, out = layers_of(3), np.zeros(3, _core.COST_DTYPE)
    assert _core.layer_costs(layers, "full", out) is out
    assert (out == _core.layer_costs(layers, "full")).all()
    assert out["flops"].tolist() == [1, 1, 1]


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "error", "what"),
    [
        ([], TypeError, "out must be a numpy array or None"),
        (np.zeros(3), TypeError, "out must have dtype"),
        (layers_of(3), TypeError, "out must have dtype"),
        (np.zeros(3, _core.COST_DTYPE.newbyteorder()), TypeError, "out must have dtype"),
        (np.zeros(2, _core.COST_DTYPE), ValueError, r"out must be as long as layers \(3\), got 2"),
        (np.zeros(4, _core.COST_DTYPE), ValueError, r"out must be as long as layers \(3\), got 4"),
        (np.zeros(6, _core.COST_DTYPE)[::2], ValueError, "out must be one-dimensional"),
        (np.zeros((3, 1), _core.COST_DTYPE), ValueError, "out must be one-dimensional"),
        pytest.param(
            unaligned(np.zeros(3, _core.COST_DTYPE)),
            ValueError,
            "out must be one-dimensional",
        ),
        (read_only(np.zeros(3, _core.COST_DTYPE)), ValueError, "not writeable"),
    ],
)
def test_a_wrong_out_is_refused(out, error, what):
    with pytest.raises(error, match=what):
        _core.layer_costs(layers_of(3), "full", out)


@pytest.mark.parametrize(
    ("groups", "n_groups", "error", "what"),
    [
        (np.zeros(3, np.int64), 1, TypeError, "groups must have dtype int32, got int64"),
        (np.zeros(3, ">i4"), 1, TypeError, "groups must have dtype int32, got >i4"),
        (np.zeros(2, np.int32), 1, ValueError, r"groups must be as long as layers \(3\), got 2"),
        (np.zeros(6, np.int32)[::2], 1, ValueError, "groups must be one-dimensional"),
        (np.zeros((3, 1), np.int32), 1, ValueError, "groups must be one-dimensional"),
        (unaligned(np.zeros(3, np.int32)), 1, ValueError, "groups must be one-dimensional"),
        (np.array([0, 1, 2], np.int32), 2, ValueError, "groups must be -1 to 1, got 2"),
        (np.array([0, -2, 0], np.int32), 2, ValueError, "groups must be -1 to 1, got -2"),
        (np.zeros(3, np.int32), 0, ValueError, "groups must be -1 to -1, got 0"),
        (np.zeros(3, np.int32), -1, ValueError, "n_groups must not be negative, got -1"),
        ([0, 0, 0], 1, TypeError, "incompatible function arguments"),
    ],
)
def test_wrong_groups_are_refused(groups, n_groups, error, what):
    with pytest.raises(error, match=what):
        _core.count_groups(layers_of(3), groups, n_groups)


def test_group_minus_one_is_in_no_group():
    layers = layers_of(3)
    layers["params"] = [1, 10, 100]
    sums = _core.count_groups(layers, np.array([1, -1, 1], np.int32), 3)
    assert [group[0] for group in sums] == [0, 101, 0]
