"""What a benchmark yields: rows, curves, and notes, which are plain strings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
        name: What was measured.
        value: The number; a ratio where possible, for machines differ.
        unit: Of value, goal and aim, such as "x" for times.
        goal: What it must reach, None where nothing is asked for.
        aim: What it should.
        more_is_better: Whether goal and aim are the least or the most.
    """

    name: str
    value: float
    unit: str = ""
    goal: float | None = None
    aim: float | None = None
    more_is_better: bool = True

    def verdict(self, limit: float | None) -> str:
        """Whether goal or aim is reached, as the tables say it."""
        if limit is None:
            return ""
        reached = self.value >= limit if self.more_is_better else self.value <= limit
        return "pass" if reached else "FAIL"

    @property
    def failed(self) -> bool:
        return self.verdict(self.goal) == "FAIL"

    def cells(self) -> tuple[str, ...]:
        """As text: name, value, goal and its verdict, aim and its verdict."""
        sign = ">=" if self.more_is_better else "<="

        def limit(value: float | None) -> str:
            if value is None:
                return ""
            return f"{sign} {_with_unit(f'{round(value, 2):g}', self.unit)}"

        return (
            self.name,
            number(self.value, self.unit),
            limit(self.goal),
            self.verdict(self.goal),
            limit(self.aim),
            self.verdict(self.aim),
        )


HEADINGS = ("", "measured", "goal", "", "aim", "")


@dataclass(frozen=True)
class Curve:
    """Something against size, to be plotted.

    Attributes:
        title: What the plot shows.
        x: Name and unit of the horizontal axis.
        y: Of the vertical axis.
        lines: Points (x, y) of each line.
        joined: False for points without a line between them.
        logarithmic: Both axes; otherwise the vertical one begins at 0.
    """

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    joined: bool = True
    logarithmic: bool = True


Result = Row | Curve | str


def number(value: float, unit: str) -> str:
    """Three digits, thousands separated."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")
    return _with_unit(text, unit)


def _with_unit(text: str, unit: str) -> str:
    return text + (unit if unit in ("", "x", "%") else f" {unit}")


def table_text(sections: dict[str, Iterable[Row]]) -> str:
    """One table, each section under its title."""
    rows = {title: [row.cells() for row in section] for title, section in sections.items()}
    every = [HEADINGS, *(cells for section in rows.values() for cells in section)]
    widths = [max(len(cells[column]) for cells in every) for column in range(len(HEADINGS))]

    def line(cells: tuple[str, ...]) -> str:
        padded = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  " + "  ".join(padded).rstrip()

    lines = [line(HEADINGS)]
    for title, section in rows.items():
        lines += [title, *map(line, section)]
    return "\n".join(lines)


def show(results: Iterable[Result]) -> None:
    """Prints what one benchmark measured: for files run on their own."""
    results = list(results)
    print(table_text({"": [result for result in results if isinstance(result, Row)]}))
    for note in results:
        if isinstance(note, str):
            print(f"  {note}")
