"""Values of one network in all conventions."""

from __future__ import annotations

from collections.abc import Iterator

from bopscount.conventions.convention import ConventionValue, number_text, unknown_convention
from bopscount.errors import InputError


class ConventionTable:
    """Values of one network in all conventions; `str()` is a table, iteration gives rows.

    Example: `report.conventions()["reactnet"].parts["BOPs"]`.
    """

    def __init__(self, values: list[ConventionValue]) -> None:
        self._values = {value.name: value for value in values}

    def __iter__(self) -> Iterator[ConventionValue]:
        return iter(self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, name: str) -> ConventionValue:
        """Return the row of a convention.

        Raises:
            InputError: If the name is unknown.
        """
        if not isinstance(name, str) or name not in self._values:
            raise unknown_convention(name, self._values)
        return self._values[name]

    def value(self, name: str) -> int | float | dict[str, int]:
        """Return the number of a convention, or its numbers if it never merges them.

        Raises:
            InputError: If the name is unknown, or the network has no such number.
        """
        row = self[name]
        if row.value is None:
            raise InputError(row.missing)
        return row.value

    def __str__(self) -> str:
        from tabulate import tabulate

        lines = [
            [row.name, "-" if row.value is None else number_text(row.value), row.unit]
            for row in self
        ]
        text = tabulate(
            lines,
            ["convention", "value", "unit"],
            tablefmt="plain",
            disable_numparse=True,
            colalign=["left", "right", "left"],
        )
        return "\n".join([str(text), *(row.missing for row in self if row.missing)])

    __repr__ = __str__
