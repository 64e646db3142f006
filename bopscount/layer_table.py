"""The layer table of `trace`: recorded layers, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
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


@dataclass(slots=True, repr=False)
class LayerTable(Records):
    """Recorded layers of one model at one input; needs no torch and pickles.

    Attributes are those of `Records`.
    """

    @classmethod
    def of(cls, records: Records) -> LayerTable:
        """Return a table that shares everything with `records`."""
        return cls(*(getattr(records, item.name) for item in fields(records)))

    def with_bits(self, bits: Mapping[str, Widths]) -> LayerTable:
        """A copy in which the layers with these paths have these (weight, input) bit widths.

        Args:
            bits: {"layer*.conv2": (1, 1), "fc": (8, 8)}: globs of module paths, of which the
                last one that matches counts; None for a width leaves it.

        Raises:
            InputError: For a width outside 1-64, or a pattern that matches nothing.
        """
        return with_bits(self, bits)

    @property
    def mac_layers(self) -> tuple[str, ...]:
        """Paths of the layers with MACs, in row order; the columns of a bit-width search.

        One for each row that runs a convolution, linear or recurrent layer or matrix product,
        however often: a leaf module's path, or that of a row such as "attn.(matmul)". Each is
        a pattern that `with_bits` takes.
        """
        return mac_layer_paths(self)

    def candidates(self, n_candidates: int) -> Candidates:
        """A block of n_candidates x layers records, all as traced, to be changed and counted.

        Raises:
            InputError: If the table was not traced, and so does not know which layer feeds which.
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
        """Candidates of this network with other widths, windows or sizes; see `Candidates.change`.

        There are as many as the values have entries.

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
