"""On the command line every error is one line, and the exit code says so."""

import textwrap

import pytest

from bopscount import InputError, TraceError
from bopscount.cli.main import main


@pytest.fixture
def network_file(tmp_path):
    path = tmp_path / "networks_of_a_user.py"
    path.write_text(
        textwrap.dedent("""
        import torch
        from torch import nn

        class Net(nn.Sequential):
            def __init__(self):
                super().__init__(nn.Linear(4, 2))

        class NeedsWidth(nn.Module):
            def __init__(self, width, *, depth, name="x"):
                super().__init__()

        class NoModule:
            pass

        class RaisesInInit(nn.Module):
            def __init__(self):
                raise RuntimeError("no weights\\nfound")

        class RaisesInForward(nn.Module):
            def __init__(self):
                super().__init__()
                self.proj = nn.Linear(4, 2)

            def forward(self, x):
                return self.proj(x) @ torch.zeros(7, 7)

        def makes_none():
            return None

        number = 3
        """)
    )
    return str(path)


def run(arguments, capsys):
    """Exit code and standard error; argparse exits by itself."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().err


def assert_refused(arguments, words, capsys):
    code, text = run(arguments, capsys)
    assert code == 2
    assert text.startswith("bopscount: error: ")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Absent", ["Absent", "Net", "NeedsWidth"]),
        ("NeedsWidth", ["NeedsWidth", "arguments", "width", "depth"]),
        ("NoModule", ["NoModule", "torch.nn.Module"]),
        ("RaisesInInit", ["RaisesInInit", "RuntimeError", "no weights found"]),
        ("makes_none", ["makes_none", "module", "NoneType"]),
        ("number", ["number", "module", "int"]),
        ("RaisesInForward", ["RuntimeError", "(1, 4)"]),
    ],
)
def test_a_name_that_makes_no_module_is_refused(network_file, name, words, capsys):
    assert_refused(["-f", network_file, "-m", name, "-s", "4"], words, capsys)


def test_a_file_without_a_class_model_asks_for_none_by_default(network_file, capsys):
    assert_refused(["-f", network_file, "-s", "4"], ["'Model'", "Net"], capsys)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("0x4", ["positive", "0"]),
        ("3x-1", ["positive", "-1"]),
        ("3x2.5", ["--size", "'3x2.5'", "3x224x224"]),
        ("3,224,", ["--size", "3x224x224"]),
        ("axb", ["--size", "'axb'"]),
        ("x".join("12345678"), ["dimensions", "8"]),
    ],
)
def test_a_size_that_is_none_is_refused_on_the_command_line(network_file, size, words, capsys):
    # With "=", or argparse takes a leading minus for a flag.
    assert_refused(["-f", network_file, "-m", "Net", f"--size={size}"], words, capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-f", "absent.py", "-m", "Net"], ["--file", "'absent.py'"]),
        (["-f", ".", "-m", "Net"], ["--file", "'.'"]),
        (["absent_network"], ["'absent_network'", "binary_resnet18", "package.module:callable"]),
        (["absent_package.models:Net"], ["absent_package", "not found"]),
        (["torch.nn:Absent"], ["torch.nn", "'Absent'"]),
        (["torch.nn:Linear"], ["Linear", "arguments", "in_features", "out_features"]),
        (["torch.nn:"], ["'torch.nn:'"]),
        (["json:dumps"], ["dumps", "arguments", "obj"]),
        (["collections:OrderedDict"], ["OrderedDict", "torch.nn.Module"]),
        (["torch.nn:ReLU", "--dtype", "float33"], ["--dtype", "'float33'"]),
        (["torch.nn:ReLU", "--batch-size", "0"], ["batch_size", "0"]),
        (["torch.nn:ReLU", "--granularity", "0"], ["query_granularity", "0"]),
        ([], ["name a model", "--help"]),
        (["torch.nn:ReLU", "-f", "net.py"], ["name a model"]),
        (["torch.nn:ReLU", "-m", "Net"], ["--model-name", "Net", "--file"]),
        (["torch.nn:ReLU", "--rules", "fvcore"], ["--rules", "'fvcore'", "torchstat"]),
        (["torch.nn:ReLU", "--batch-size", "two"], ["--batch-size", "'two'"]),
        (["torch.nn:ReLU", "--granularity", "1.5"], ["--granularity", "'1.5'"]),
        (["torch.nn:ReLU", "--no-such-flag"], ["--no-such-flag"]),
    ],
)
def test_every_bad_argument_is_refused_in_one_line(arguments, words, capsys):
    assert_refused(arguments, words, capsys)


def test_a_file_that_cannot_be_run_is_refused(tmp_path, capsys):
    for number, (text, words) in enumerate(
        [
            ("class Net(:", ["SyntaxError"]),
            ("import absent_package", ["ModuleNotFoundError", "absent_package"]),
            ("raise SystemExit(5)", ["SystemExit", "5"]),
        ]
    ):
        path = tmp_path / f"net_{number}.py"
        path.write_text(text)
        assert_refused(["-f", str(path), "-m", "Net"], [path.name, *words], capsys)


def test_a_file_that_is_no_python_file_is_refused(tmp_path, capsys):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"\x00\x01")
    assert_refused(["-f", str(path), "-m", "Net"], ["--file", "weights.bin"], capsys)


def test_an_output_file_that_cannot_be_written_is_refused(tmp_path, capsys):
    target = str(tmp_path / "absent" / "report.json")
    arguments = ["torch.nn:ReLU", "-s", "4", "--no-timing", "--json", target]
    assert_refused(arguments, [target], capsys)


def test_an_overflow_is_one_line_on_the_command_line(tmp_path, capsys):
    path = tmp_path / "huge.py"
    path.write_text(
        "import torch\n"
        "def huge():\n"
        "    with torch.device('meta'):\n"
        "        return torch.nn.Linear(2**28, 2**28, bias=False)\n"
    )
    assert_refused(["-f", str(path), "-m", "huge", "-s", f"4x{2**28}"], ["2**63"], capsys)


def test_debug_shows_the_traceback_of_an_error(network_file):
    with pytest.raises(TraceError) as caught:
        main(["-f", network_file, "-m", "RaisesInForward", "-s", "4", "--debug"])
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(InputError):
        main(["absent_network", "--debug"])


def test_an_interrupt_ends_the_command_with_130(tmp_path):
    path = tmp_path / "slow.py"
    path.write_text(
        "from torch import nn\n"
        "class Slow(nn.Module):\n"
        "    def forward(self, x):\n"
        "        raise KeyboardInterrupt\n"
    )
    assert main(["-f", str(path), "-m", "Slow", "-s", "4"]) == 130
