"""Candidates of a recorded network: blocks of records with consistently changed fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from bopscount.errors import InputError
from bopscount.records.table import Records
from bopscount.search.candidates.follow import (
    CONVOLUTIONS,
    IMAGE_RANK,
    PRODUCTS,
    WINDOWED,
    is_batched,
    spatial_dims,
)
from bopscount.search.candidates.propagation import Dataflow, Propagation
from bopscount.search.candidates.record_blocks import count_layers
from bopscount.search.candidates.shapes import Shape, is_fixed, size_of

Values = int | Sequence[int] | npt.NDArray[Any]
Layers = str | Sequence[str]
ByLayer = Mapping[str | tuple[str, ...], Values]
_LARGEST = 2**31 - 1


class Candidates:
    """Variants of one recorded network, one row of records per candidate.

    The setters change a field of some layers and propagate the change along
    `Records.producers`: norms, activations, pools and depthwise convolutions pass channels
    on, the next layers read them, additions require both sides to agree, concatenations add
    up, and sizes are recomputed by the shape rules of the trace. If the trace does not
    determine the result, InputError is raised and nothing changes.

    The fields of `records` may also be set directly, without propagation.

    Attributes:
        table: The traced network.
        records: Records of `LAYER_DTYPE`, of shape (n_candidates, n_layers).

    Example: for `nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))` at 3x8x8,
    `table.replace(out_channels={"0": [8, 16]}).count(metrics=["macs"])` gives
    27 x 8 x 36 + 72 x 4 x 16 = 12,384 and 27 x 16 x 36 + 144 x 4 x 16 = 24,768.
    """

    def __init__(self, table: Records, n_candidates: int) -> None:
        """Create candidates that all equal the traced network."""
        if isinstance(n_candidates, bool) or not isinstance(n_candidates, int) or n_candidates < 0:
            raise InputError(f"n_candidates must be a whole number, got {n_candidates!r}")
        self.table = table
        self.records: npt.NDArray[Any] = np.tile(table.records, (n_candidates, 1))
        self._flow = Dataflow(table)
        self._inputs: dict[int, Shape] = {}
        self._differing: set[int] = set()

    def __len__(self) -> int:
        return len(self.records)

    def count(
        self,
        *,
        rules: str = "torchstat",
        metrics: str | Sequence[str] | None = None,
        n_threads: int | None = None,
        python_ints: bool = False,
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the totals of every candidate; see `count_layers`."""
        return count_layers(
            self.records,
            rules=rules,
            metrics=metrics,
            n_threads=n_threads,
            python_ints=python_ints,
        )

    def change(
        self,
        *,
        out_channels: ByLayer | None = None,
        kernel_size: ByLayer | None = None,
        stride: ByLayer | None = None,
        groups: ByLayer | None = None,
        input_size: Values | None = None,
        batch: Values | None = None,
    ) -> Candidates:
        """Change these fields together, and everything that depends on them.

        Values are one integer for all candidates, or one per candidate; sizes of windows and
        images may be (n_candidates, n_dimensions).

        Args:
            out_channels: {layers: values} for convolutions and linear layers. Layers are a
                path, a glob of paths, or a tuple of these. Layers whose outputs are added must
                change in one call.
            kernel_size: {layers: values} for convolutions and pools. Padding of half the window
                stays half the window, so that odd windows keep the size of the image; other
                padding is unchanged.
            stride: {layers: values} for convolutions and pools.
            groups: {layers: values} for convolutions.
            input_size: Positions of the first input: height and width of an image.
            batch: Samples in every input; dimension 0 of each must be the batch.

        Returns:
            This object.

        Raises:
            InputError: For unknown layers or invalid values, or if dependent layers do not fit
                or the trace does not determine them; nothing is changed then.
        """
        columns: dict[int, npt.NDArray[Any]] = {}
        fields: set[tuple[int, str]] = set()
        for name, given, kinds, set_values in (
            ("out_channels", out_channels, PRODUCTS, self._set_field),
            ("groups", groups, CONVOLUTIONS, self._set_field),
            ("stride", stride, WINDOWED, self._set_stride),
            ("kernel_size", kernel_size, WINDOWED, self._set_window),
        ):
            for layers, values in (given or {}).items():
                what = f"{name}[{layers!r}]"
                checked = self._values(what, values)
                for index in self._find(what, layers, kinds):
                    column = columns.setdefault(index, self.records[:, index].copy())
                    set_values(what, index, column, checked)
                    fields.add((index, name))
        inputs = dict(self._inputs)
        if input_size is not None:
            self._resize_input(inputs, self._values("input_size", input_size))
        if batch is not None:
            self._set_batch(inputs, self._values("batch", batch))
        self._follow(columns, fields, inputs)
        return self

    def set_out_channels(self, layers: Layers, values: Values) -> None:
        """Set output channels; see `change`."""
        self.change(out_channels={_key(layers): values})

    def set_kernel_size(self, layers: Layers, values: Values) -> None:
        """Set window sizes; see `change`."""
        self.change(kernel_size={_key(layers): values})

    def set_stride(self, layers: Layers, values: Values) -> None:
        """Set strides; see `change`."""
        self.change(stride={_key(layers): values})

    def set_groups(self, layers: Layers, values: Values) -> None:
        """Set groups of convolutions; see `change`."""
        self.change(groups={_key(layers): values})

    def set_input_size(self, values: Values) -> None:
        """Set height and width of the image; see `change`."""
        self.change(input_size=values)

    def set_batch(self, values: Values) -> None:
        """Set the number of samples; see `change`."""
        self.change(batch=values)

    # ------------------------------------------------------------------------------

    def _find(self, what: str, layers: Layers, kinds: Sequence[str]) -> list[int]:
        """Return the indices of the records of these kinds whose module paths match."""
        patterns = [layers] if isinstance(layers, str) else layers
        if not isinstance(patterns, Sequence) or not patterns:
            raise InputError(f"{what}: layers must be a path or several, got {layers!r}")
        owners = self.table.records["owner"].tolist()
        paths = {
            index: self.table.nodes[self.table.owners[owners[index]].node].path
            for index, kind in enumerate(self._flow.kinds)
            if kind in kinds
        }
        found: set[int] = set()
        for pattern in patterns:
            if not isinstance(pattern, str):
                raise InputError(f"{what}: layers must be paths, got {pattern!r}")
            matches = {index for index, path in paths.items() if fnmatchcase(path, pattern)}
            if not matches:
                some = ", ".join(map(repr, list(dict.fromkeys(paths.values()))[:3])) or "none"
                raise InputError(
                    f"{what}: no {', '.join(kinds)} has the path {pattern!r}; such are {some}"
                )
            found |= matches
        return sorted(found)

    def _values(self, name: str, values: Values) -> npt.NDArray[np.int64]:
        """Return positive integers: one, one per candidate, or several per candidate."""
        array = np.asarray(values)
        if array.dtype.kind not in "iu":
            raise InputError(f"{name} must be whole numbers, got {array.dtype}")
        if array.ndim and len(array) != len(self):
            raise InputError(
                f"{name} must be one number or one for each of {len(self)} candidates, "
                f"got the shape {array.shape}"
            )
        bad = (array < 1) | (array > _LARGEST)
        if bad.any():
            first = np.unravel_index(np.argmax(bad), array.shape)
            where = f" for candidate {int(first[0])}" if array.ndim else ""
            raise InputError(f"{name} must be 1 to {_LARGEST}, got {array[first]}{where}")
        return array.astype(np.int64)

    def _set_field(
        self, what: str, _index: int, column: npt.NDArray[Any], values: npt.NDArray[np.int64]
    ) -> None:
        if values.ndim > 1:
            raise InputError(f"{what} must be one number a candidate, got {values.shape}")
        column[what.partition("[")[0]] = values

    def _set_stride(
        self, what: str, index: int, column: npt.NDArray[Any], values: npt.NDArray[np.int64]
    ) -> None:
        spatial = self._spatial(index)
        column["stride"][:, :spatial] = self._per_dimension(what, values, spatial)

    def _spatial(self, index: int) -> int:
        rank = len(self.table.input_shapes[index])
        return spatial_dims(self._flow.kinds[index], rank, is_batched(self.table, index))

    def _per_dimension(
        self, what: str, values: npt.NDArray[np.int64], spatial: int
    ) -> npt.NDArray[np.int64]:
        """Return an array that broadcasts to (n_candidates, spatial)."""
        if values.ndim < 2:  # noqa: PLR2004 - candidates and dimensions
            return values[..., None]
        if values.shape[1:] != (spatial,):
            raise InputError(
                f"{what} must be ({len(self)},) or ({len(self)}, {spatial}), got {values.shape}"
            )
        return values

    def _set_window(
        self, what: str, index: int, column: npt.NDArray[Any], values: npt.NDArray[np.int64]
    ) -> None:
        spatial = self._spatial(index)
        kernel, padding, dilation = (
            column[field][:, :spatial].astype(np.int64)
            for field in ("kernel", "padding", "dilation")
        )
        half = 2 * padding == dilation * (kernel - 1)
        kernel[:] = self._per_dimension(what, values, spatial)
        reach = dilation * (kernel - 1)
        bad = (half & (reach % 2 == 1)).any(axis=1)
        if bad.any():
            first = int(np.argmax(bad))
            path = self.table.owner_path(int(self.table.records["owner"][index]))
            raise InputError(
                f"candidate {first}, {path}: an even window ({kernel[first].tolist()}) cannot "
                "keep the size of the image"
            )
        column["kernel"][:, :spatial] = kernel
        column["padding"][:, :spatial] = np.where(half, reach // 2, padding)

    def _resize_input(self, inputs: dict[int, Shape], values: npt.NDArray[np.int64]) -> None:
        shape = self._flow.input_shapes.get(0)
        if shape is None or len(shape) < IMAGE_RANK:
            raise InputError(f"input_size: the first input has no positions: its shape is {shape}")
        spatial = len(shape) - 2
        sizes = np.empty((len(self), spatial), np.int64)
        sizes[:] = self._per_dimension("input_size", values, spatial)
        now = inputs.get(0, shape)
        changed = (size_of(sizes[:, i].copy(), shape[2 + i]) for i in range(spatial))
        inputs[0] = (*now[:2], *changed)

    def _set_batch(self, inputs: dict[int, Shape], values: npt.NDArray[np.int64]) -> None:
        if values.ndim > 1:
            raise InputError(f"batch must be one number a candidate, got {values.shape}")
        sizes = np.empty(len(self), np.int64)
        sizes[:] = values
        for number, shape in self._flow.input_shapes.items():
            if not shape or shape[0] != self.table.batch_size:
                raise InputError(f"batch: input {number} has none as its dimension 0: {shape}")
            inputs[number] = (size_of(sizes, shape[0]), *inputs.get(number, shape)[1:])

    def _follow(
        self,
        columns: dict[int, npt.NDArray[Any]],
        fields: set[tuple[int, str]],
        inputs: dict[int, Shape],
    ) -> None:
        """Apply changed columns and inputs with all dependent changes; on error change nothing."""
        differing = {
            number: shape for number, shape in inputs.items() if not all(map(is_fixed, shape))
        }
        walk = Propagation(self._flow, self.records, columns, fields, differing)
        walk.run(self._differing)
        for index, column in walk.columns.items():
            self.records[:, index] = column
        self._inputs, self._differing = differing, set(walk.columns)


def _key(layers: Layers) -> str | tuple[str, ...]:
    return layers if isinstance(layers, str) else tuple(layers)


def number_of_candidates(*changes: ByLayer | Values | None) -> int:
    """Return the number of candidates in these values, 1 if all are single numbers."""
    lengths: list[int] = []
    for change in changes:
        for values in change.values() if isinstance(change, Mapping) else (change,):
            shape = np.shape(values) if values is not None else ()
            lengths += shape[:1]
    return lengths[0] if lengths else 1
