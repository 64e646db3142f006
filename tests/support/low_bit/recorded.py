"""The widths that a table has, and where they come from."""

import bopscount
from bopscount._core import BIT_SOURCES, OP_TABLE

FLOATING, USER, ADAPTER, PRODUCER, MEASURED = (
    BIT_SOURCES[name] for name in ("floating", "user", "adapter", "producer", "measured")
)
FULL = (32, 32, FLOATING, FLOATING)


def widths(table):
    """(weight bits, input bits, sources) of each row with MACs, by path."""
    macs = {kind["name"] for kind in OP_TABLE if kind["macs"]}
    names = [row["name"] for row in OP_TABLE]
    return {
        table.owner_path(int(record["owner"])): tuple(
            int(record[field])
            for field in (
                "weight_bits", "input_bits", "weight_bits_source", "input_bits_source",
            )
        )
        for record in table.records
        if names[record["kind"]] in macs
    }  # fmt: skip


def measured(model, *args, **options):
    return bopscount.trace(model, *args, bits="measured", **options)
