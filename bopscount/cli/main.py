"""Options of the command line, and its entry point `main`."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

import bopscount._core as _core
from bopscount.errors import BopscountError, InputError
from bopscount.records.rule_sets import RULE_SETS
from bopscount.report import Report
from bopscount.report.formats import FORMATS
from bopscount.report.options import ReportOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


_EXAMPLES = """\
examples:
  bopscount binary_resnet18                          a built-in network
  bopscount torchvision.models:resnet50              what a function or class makes
  bopscount -f net.py -m Net -s 1x28x28              class Net of a file, its input size
  bopscount timm.models:vit_tiny_patch16_224 --rules full --granularity 3 --no-timing
  bopscount binary_resnet18 --json report.json --csv layers.csv
"""
_FILES = [name for name in FORMATS if name != "table"]
"""Output formats with an option of their own."""
_DEFAULT_SIZE = "3x224x224"
_BAD_INPUT = 2
_INTERRUPTED = 130


class _Version(argparse.Action):
    """Action that prints the versions; looks up torch's only when used."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        versions = {name: version(name) for name in ("bopscount", "torch", "numpy")}
        print(", ".join(f"{name} {number}" for name, number in versions.items()), end="")  # noqa: T201
        print(f", core built as {_core.build_type}")  # noqa: T201
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """Parser whose errors are one line, like the other errors of the command line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_BAD_INPUT, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bopscount",
        description="Counts what a PyTorch network costs: Bops, Flops, MAdd, parameters, "
        "memory and memory traffic, per layer and in total.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", nargs="?", help="built-in network (see --list) or package.module:callable")
    add("-f", "--file", help="Python file that defines the model")
    add("-m", "--model-name", dest="name", help="class or function in --file (default: Model)")
    add("-s", "--size", metavar="CxHxW", help="input size without the batch (default: "
        f"{_DEFAULT_SIZE}, or what a built-in network takes); several: 3x224x224,10")  # fmt: skip
    add("--batch-size", type=int, default=1, metavar="N", help="samples (default: 1)")
    add("--dtype", help="input dtype, such as int64 or bfloat16 (default: the parameters', or "
        "what a built-in network takes)")  # fmt: skip
    add("--rules", choices=RULE_SETS, default="torchstat", help="what counts (default: torchstat)")
    add("--granularity", type=int, default=1, metavar="G", help="height of the modules that "
        "get a row (default: 1, the leaves)")  # fmt: skip
    add("--bits", action="append", metavar="PATTERN=W,A", help="bits of weights and inputs of "
        "the layers whose path matches, as in 'layer*.conv2=1,1'; PATTERN=measured, or "
        "measured for all, runs the model to find them; repeatable")  # fmt: skip
    add("--columns", metavar="NAMES", help="columns of the table, as in 'default,bits' or "
        "'module name,Bops,W bits,A bits'")  # fmt: skip
    add("--convention", metavar="NAME", help="print the total in a published convention too, "
        "such as reactnet")  # fmt: skip
    add("--conventions", action="store_true", help="print the network under every published "
        "convention, instead of the table")  # fmt: skip
    add("--discount-zeros", action="store_true", help="zero weights cost no MACs and no memory")
    add("--no-timing", action="store_true", help="no duration[%%] column, and no timed runs")
    for name in _FILES:
        add(f"--{name}", nargs="?", const="-", metavar="FILE", help=f"write {FORMATS[name].doc} to "
            "FILE, or print that instead of the table")  # fmt: skip
    add("--list", action="store_true", help="list the built-in networks")
    add("--debug", action="store_true", help="show the traceback of an error")
    add("--version", action=_Version, nargs=0, help="print versions and build type")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code, 2 for bad input."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        _run(options, parser)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe, as `| head` does, which is no error.
        sys.stderr.close()
    except (BopscountError, OverflowError, OSError) as error:
        if options.debug:
            raise
        print(f"bopscount: error: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        return _BAD_INPUT
    return 0


def _run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    from bopscount.networks import NETWORKS

    if options.list:
        for name, network in NETWORKS.items():
            size = "x".join(map(str, network.input_size))
            print(f"{name:24} {size:12} {network.doc}")  # noqa: T201
        return
    if bool(options.model) == bool(options.file):
        parser.error(
            "name a model: a built-in network, package.module:callable, or -f FILE -m NAME"
        )
    if options.name and not options.file:
        parser.error(f"--model-name {options.name} needs --file")
    report = _report(options)
    targets = {name: getattr(options, name) for name in _FILES}
    if "-" not in targets.values():
        print(f"{report.conventions()}\n" if options.conventions else report, end="")  # noqa: T201
    for name, target in targets.items():
        if target:
            _write(target, format(report, name))


def _report(options: argparse.Namespace) -> Report:
    from bopscount.api import build_report
    from bopscount.bits.by_path import parse_bits
    from bopscount.cli.loading import load_by_name, load_from_file
    from bopscount.networks import NETWORKS
    from bopscount.tracing.options import TraceOptions

    built_in = NETWORKS.get(options.model)
    if options.size is None and built_in:
        sizes: list[tuple[int, ...]] = [built_in.input_size]
    else:
        sizes = _sizes(options.size or _DEFAULT_SIZE)
    dtype = _dtype(options.dtype or (built_in.dtype if built_in else None))
    if options.file:
        model = load_from_file(options.file, options.name or "Model")
    else:
        model = load_by_name(options.model)
    asked = TraceOptions(
        input_size=sizes,
        batch_size=options.batch_size,
        dtype=dtype,
        bits=parse_bits(options.bits) if options.bits else None,
        discount_zeros=options.discount_zeros,
    )
    shown = ReportOptions(
        rules=options.rules,
        query_granularity=options.granularity,
        columns=[name.strip() for name in (options.columns or "default").split(",")],
        convention=options.convention,
        discount_zeros=options.discount_zeros,
    )
    return build_report(model, asked, shown, not (options.no_timing or options.conventions))


def _sizes(text: str) -> list[tuple[int, ...]]:
    """Return the shapes in `text`: [(3, 224, 224), (10,)] for "3x224x224,10"."""
    try:
        return [tuple(int(size) for size in part.split("x")) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--size must be like 3x224x224, got {text!r}") from error


def _dtype(name: str | None) -> torch.dtype | None:
    if name is None:
        return None
    import torch

    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise InputError(f"--dtype must be a torch dtype such as int64 or bfloat16, got {name!r}")
    return dtype


def _write(target: str, text: str) -> None:
    if target == "-":
        print(text, end="")  # noqa: T201
        return
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)
