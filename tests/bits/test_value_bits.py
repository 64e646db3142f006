"""The width finder, against grids whose width is known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bopscount.bits.value_bits import SAMPLES_A_LEVEL, Finding, ValueBits, value_bits


def generator(seed):
    return torch.Generator().manual_seed(seed)


def levels(bits, groups, samples, seed):
    """Whole numbers from 0 to 2**bits - 1, both ends among each group's."""
    ks = torch.randint(0, 2**bits, (groups, samples), generator=generator(seed))
    ks[:, 0], ks[:, -1] = 0, 2**bits - 1
    return ks.double()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def width(values):
    found = value_bits(values)
    return found.bits if found.finding is Finding.WIDTH else found.finding


seeds = st.integers(0, 2**31)
quick = settings(deadline=None, max_examples=30)


@quick
@given(
    seed=seeds,
    bits=st.integers(1, 8),
    step=st.floats(1e-4, 1e3),
    offset=st.floats(-4, 4),
    more=st.integers(0, 2000),
)
def test_values_on_one_grid_have_its_width(seed, bits, step, offset, more):
    samples = SAMPLES_A_LEVEL * 2**bits + more
    values = ((levels(bits, 1, samples, seed) + offset * 2**bits) * step).float()
    assert value_bits(values) == ValueBits(Finding.WIDTH, bits, 2**bits, samples)


@quick
@given(seed=seeds, bits=st.integers(1, 6), groups=st.integers(2, 40), symmetric=st.booleans())
def test_every_row_may_have_a_step_of_its_own(seed, bits, groups, symmetric):
    samples = SAMPLES_A_LEVEL * 2**bits
    steps = torch.rand(groups, 1, generator=generator(seed)).double() + 0.01
    offset = (2**bits - 1) / 2 if symmetric else 2 ** (bits - 1)
    values = ((levels(bits, groups, samples, seed) - offset) * steps).float()
    assert width(values) == bits


@quick
@given(seed=seeds, bits=st.integers(2, 8))
def test_rows_with_fewer_values_than_levels_count_together(seed, bits):
    """As the channels of a depthwise 3x3 convolution, each with a scale of its own."""
    groups = SAMPLES_A_LEVEL * 2**bits // 9 + 40
    ks = torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), (groups, 9), generator=generator(seed))
    ks[0, :2], ks[1, :2] = torch.tensor([-(2 ** (bits - 1)), 1]), torch.tensor([0, 1])
    ks[2, :2] = torch.tensor([2 ** (bits - 1) - 1, 1])
    steps = torch.rand(groups, 1, generator=generator(seed)) + 0.5
    assert width(ks * steps) == bits


def test_nine_values_of_eight_bits_are_too_few():
    ks = torch.tensor([[-128, -90, -77, -13, 1, 2, 50, 99, 127]])
    assert value_bits(ks * 0.013) == ValueBits(Finding.FEW, 0, 256, 9)


@quick
@given(seed=seeds, groups=st.integers(1, 40), samples=st.integers(5, 600))
def test_what_nobody_quantised_has_no_width(seed, groups, samples):
    values = normal(groups, samples, seed=seed)
    for floats in (values, values.relu(), values.clamp(0, 6), values.tanh(), values * 1e-6):
        assert not isinstance(width(floats), int)


@quick
@given(seed=seeds, keep=st.floats(0.01, 0.9))
def test_sparse_floats_have_no_width(seed, keep):
    values = normal(32, 288, seed=seed)
    values[torch.rand(32, 288, generator=generator(seed)) > keep] = 0
    assert not isinstance(width(values), int)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@quick
@given(seed=seeds, low=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 4.0]))
def test_the_numbers_that_a_dtype_has_are_no_grid(dtype, seed, low):
    """All bfloat16 from 0.5 to 1 are 128 values on one step: still nobody quantised them."""
    values = (low + torch.rand(8, 4000, generator=generator(seed))).to(dtype)
    assert width(values) is Finding.FLOAT


@pytest.mark.parametrize(("dtype", "bits"), [(torch.bfloat16, 4), (torch.float16, 7)])
def test_half_precision_holds_narrow_grids(dtype, bits):
    ks = levels(bits, 8, 1000, 0) - 2 ** (bits - 1)
    assert width((ks * 0.0371).to(dtype)) == bits


@pytest.mark.parametrize("scale", [1.0, 0.3, torch.rand(64, 1, generator=generator(1)) + 0.1])
@pytest.mark.parametrize("samples", [4, 9, 576])
def test_signs_are_one_bit_at_any_scale(scale, samples):
    assert width(normal(64, samples).sign() * scale) == 1


def test_two_levels_a_channel_are_one_bit_wherever_they_are():
    scale, shift = torch.rand(2, 64, 1, generator=generator(0))
    assert width(normal(64, 36).sign() * scale + shift) == 1


def test_what_straight_through_tricks_round_off_is_no_level():
    x = 3 * normal(1, 5000)
    noisy = x + ((x / 0.3).round().clamp(0, 3) * 0.3 - x)
    assert len(noisy.unique()) > 4
    assert width(noisy) == 2


@pytest.mark.parametrize("scale", [0.02, torch.rand(64, 1, generator=generator(1)) + 0.1])
def test_three_levels_are_two_bits(scale):
    assert width(normal(64, 9).round().clamp(-1, 1) * scale) == 2


def test_channels_that_are_zero_throughout_say_nothing():
    signs = normal(64, 9).sign() * (torch.rand(64, 1, generator=generator(1)) + 0.1)
    signs[::3] = 0
    assert width(signs) == 1
    assert width(torch.zeros(8, 9)) is Finding.SILENT


def test_what_is_constant_says_nothing():
    assert width(torch.full((8, 9), 1 / 9)) is Finding.SILENT


def test_rows_of_one_value_each_are_no_binary_ones():
    """{0, a} in every row: a scale a row would explain any values so."""
    values = torch.zeros(64, 16)
    values[:, 3] = normal(64)
    assert not isinstance(width(values), int)


def test_steps_that_are_powers_of_two_share_a_grid_but_need_none():
    scale = 2.0 ** -torch.arange(8.0)[:, None]
    assert width(normal(8, 64).sign() * scale) == 1


def test_powers_of_two_need_the_uniform_width_that_holds_them():
    """APoT and the like: 0, 1/16, 1/8, ... 1 span 17 levels of a sixteenth."""
    values = torch.tensor([0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0])
    picks = torch.randint(0, 6, (64, 36), generator=generator(0))
    assert value_bits(values[picks]) == ValueBits(Finding.WIDTH, 5, 17, 64 * 36)


def test_a_code_book_has_no_width_but_is_seen():
    found = value_bits(normal(16)[torch.randint(0, 16, (64, 36), generator=generator(0))])
    assert (found.finding, found.distinct, found.is_code_book) == (Finding.FLOAT, 16, True)
    assert not value_bits(normal(64, 36)).is_code_book


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_pictures_are_eight_bits(dtype):
    pixels = torch.randint(0, 256, (1, 12_000), generator=generator(0))
    assert width(pixels.to(dtype)) == width(pixels / 255) == 8


def test_infinities_and_complex_numbers_have_no_width():
    assert width(torch.tensor([[1.0, torch.inf] * 8])) is Finding.FLOAT
    assert width(torch.tensor([[1.0, torch.nan] * 8])) is Finding.FLOAT
    assert width(torch.ones(1, 8, dtype=torch.complex64)) is Finding.FLOAT


def test_the_values_are_left_as_they_are():
    values = normal(4, 9).sign()
    version = values._version
    value_bits(values)
    assert values._version == version
