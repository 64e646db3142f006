"""Layer table: the recorded layers that `trace` returns, with their public methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from bopscount.bits.by_path import Widths, with_bits
from bopscount.records.layers import mac_layer_paths
from bopscount.records.table import Owner, Records
from bopscount.search.candidates.candidates import (
    ByLayer,
    Candidates,
    Values,
    number_of_candidates,
)

__all__ = ["LayerTable", "Owner", "as_layer_table"]

_VALUES = attrgetter(*(item.name for item in fields(Records)))


@dataclass(slots=True, repr=False)
class LayerTable(Records):
    """Recorded layers of one model for one input size; picklable, and needs no torch.

    Attributes are those of `Records`.
    """

    @classmethod
    def of(cls, records: Records) -> LayerTable:
        """Return a table that shares all data with `records`."""
        return cls(*_VALUES(records))

    def with_bits(self, bits: Mapping[str, Widths]) -> LayerTable:
        """Return a copy with the given bit widths for the layers at the given paths.

        Args:
            bits: Globs of module paths with (weight bits, input bits), such as
                {"layer*.conv2": (1, 1), "fc": (8, 8)}. The last matching pattern applies; a
                width of None is left unchanged.

        Raises:
            InputError: If a width is outside 1-64, or a pattern matches no layer.
        """
        return with_bits(self, bits)

    @property
    def mac_layers(self) -> tuple[str, ...]:
        """Paths of the layers with MACs, in row order; the columns of a bit-width search.

        One path per row that runs a convolution, linear or recurrent layer or matrix product,
        regardless of the number of calls: that of a leaf module, or of a row such as
        "attn.(matmul)". Each is a valid pattern for `with_bits`.
        """
        return mac_layer_paths(self)

    def candidates(self, n_candidates: int) -> Candidates:
        """Return a block of n_candidates x layers records as traced, to be changed and counted.

        Raises:
            InputError: If the table was not traced and lacks the connections between layers.
        """
        return Candidates(self, n_candidates)

    def replace(
        self,
        *,
        out_channels: ByLayer | None = None,
        kernel_size: ByLayer | None = None,
        stride: ByLayer | None = None,
        groups: ByLayer | None = None,
        input_size: Values | None = None,
        batch: Values | None = None,
    ) -> Candidates:
        """Return candidates with other channels, windows or input sizes; see `Candidates.change`.

        The number of candidates is the number of entries of the values.

        Example: `table.replace(out_channels={"conv1": [8, 16, 32]}, input_size=160).count()`.

        Raises:
            InputError: As `Candidates.change`.
        """
        n_candidates = number_of_candidates(
            out_channels, kernel_size, stride, groups, input_size, batch
        )
        return self.candidates(n_candidates).change(
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
            groups=groups,
            input_size=input_size,
            batch=batch,
        )


def as_layer_table(layers: Records | Any) -> LayerTable:
    """Return a table of records, or of a bare array of `LAYER_DTYPE`.

    Raises:
        InputError: For anything else.
    """
    if isinstance(layers, LayerTable):
        return layers
    return LayerTable.of(layers) if isinstance(layers, Records) else LayerTable.from_array(layers)
