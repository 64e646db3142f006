"""Figures of papers and public code, reproduced on networks in own code."""

import importlib.util

import pytest
from support.paths import DOCS
from support.published import FIGURES, NEEDS_WEIGHTS, as_printed, ours, printed, to_the_digits_of
from support.published_metrics import evaluated, params
from support.published_networks import layers_of

import bopscount

MIB_BITS = 8 * 2**20


def chosen(condition):
    return [number for number, figure in enumerate(FIGURES) if condition(figure)]


def records(condition):
    numbers = chosen(condition)
    names = [
        f"{n}-{FIGURES[n]['network']}-{FIGURES[n]['metric']}".replace(" ", "_") for n in numbers
    ]
    return pytest.mark.parametrize("number", numbers, ids=names)


def is_uniform4_product(figure):
    return (figure["config"], figure["metric"]) == ("uniform4", "GBOPS")


@records(lambda figure: "computed_value" in figure and not is_uniform4_product(figure))
def test_the_computed_value_is_reproduced(number):
    expected = FIGURES[number]["computed_value"]
    assert to_the_digits_of(ours(number).value, expected) == expected


@records(is_uniform4_product)
def test_of_one_record_the_computed_value_lacks_a_class(number):
    """It is lower by 512 MACs of 8 x 8 bits: a classifier of 999 classes, not 1,000.

    The size of the same network, and the digits that were published, are those of 1,000.
    """
    figure = FIGURES[number]
    stem, body, classifier = 118_013_952, 1_695_547_392, 512 * 1000
    value = 64 * (stem + classifier) + 16 * body
    assert ours(number).value == value / 1e9 == 34.7144192
    assert round(figure["computed_value"] * 1e9) == value - 64 * 512


@records(lambda figure: figure["status"].startswith(("match", "tool reference")))
def test_the_published_value_is_reproduced_to_its_digits(number):
    figure = FIGURES[number]
    assert as_printed(ours(number).value, figure) == printed(figure)


@records(lambda figure: "(exact)" in figure["status"])
def test_an_exact_match_is_one_of_integers(number):
    figure = FIGURES[number]
    assert ours(number).value == round(figure["published_value"] * figure["scale"])


def test_one_size_is_near_what_was_published_and_no_more():
    (number,) = chosen(lambda figure: figure["status"].startswith("near"))
    figure = FIGURES[number]
    assert figure["status"] == "near (-0.7%)"
    ratio = ours(number).value / figure["published_value"]
    assert round(100 * (ratio - 1), 1) == -0.7


@records(lambda figure: figure["status"] == NEEDS_WEIGHTS)
def test_without_the_trained_weights_the_network_is_dense(number):
    figure = FIGURES[number]
    assert "computed_value" not in figure
    (dense,) = chosen(
        lambda other: (
            other["network"] == figure["network"]
            and other["metric"] == figure["metric"]
            and "computed_value" in other
        )
    )
    assert ours(number) == ours(dense)
    assert ours(number).value > figure["published_value"]


def test_every_record_is_tested():
    known = ("match", "near", NEEDS_WEIGHTS, "tool reference", "computed")
    assert all(figure["status"].startswith(known) for figure in FIGURES)
    assert all(
        "computed_value" in figure for figure in FIGURES if figure["status"].startswith("computed")
    )


def binary_weights(table):
    return bopscount.count(table).bit_summary.params[1]


def fused(table):
    return evaluated(table, "mib_fused").parts["values"]


def flops(table, convention="reactnet"):
    return evaluated(table, convention).parts["FLOPs"]


EXTRA = {
    "ops_nofc": lambda t: evaluated(t, "bmxnet").value,
    "ops_with_fc": lambda t: evaluated(t, "reactnet").value,
    "bin_macs": lambda t: evaluated(t, "reactnet").parts["BOPs"],
    "fp_conv_macs": lambda t: flops(t, "bmxnet"),
    "fc_macs": lambda t: flops(t) - flops(t, "bmxnet"),
    "MiB": lambda t: evaluated(t, "mib_fused").value,
    "params": params,
    "bin_weights": binary_weights,
    "fused_bn": fused,
    "all_weights": lambda t: evaluated(t, "mib_raw").parts["values"],
    "fused_MiB": lambda t: evaluated(t, "mib_fused").value,
    "raw_MiB": lambda t: evaluated(t, "mib_raw").value,
    "fused_bits": lambda t: evaluated(t, "mib_fused").parts["bits"],
    "all_fp32_MiB": lambda t: 32 * fused(t) / MIB_BITS,
    "fp_weights_as_int8_MiB": lambda t: (8 * fused(t) - 7 * binary_weights(t)) / MIB_BITS,
}


@records(lambda figure: "computed_extra" in figure)
def test_what_the_record_adds_is_reproduced_too(number):
    figure = FIGURES[number]
    extra = figure["computed_extra"]
    if extra == figure["computed_value"]:
        assert ours(number).value == extra
        return
    table = layers_of(figure)
    assert {key: to_the_digits_of(EXTRA[key](table), extra[key]) for key in extra} == extra


def load_page_generator():
    path = DOCS / "figures.py"
    spec = importlib.util.spec_from_file_location("figures_page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_figures_is_up_to_date():
    generator = load_page_generator()
    assert generator.PAGE.read_text(encoding="utf-8") == generator.page(), (
        "run python docs/figures.py"
    )


def test_the_page_cites_nothing_from_memory():
    page = (DOCS / "figures.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    recalled = chosen(lambda figure: figure["published_kind"] == "recalled-unverified")
    assert len(lines) == 2 + len(FIGURES) - len(recalled)
    assert "recalled" not in page
