"""The command line: every flag, in process, and the two ways to start it."""

import csv
import io
import json
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import version

import pytest

import bopscount
from bopscount import Report, _core
from bopscount.cli.main import main
from bopscount.networks import NETWORKS

NET = """
import torch
from torch import nn
import helper_of_a_user

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU())
        self.fc = nn.Linear(helper_of_a_user.WIDTH, 10)

    def forward(self, x):
        return self.fc(self.body(x).flatten(1)) + 1

Model = Net
made = Net()

def make():
    return Net()

class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 2), nn.Linear(3, 2)

    def forward(self, x, y):
        return self.a(x) + self.b(y)

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)

    def forward(self, x):
        return self.embed(x)
"""
MACS = 2 * 6 * 6 * 9 + 72 * 10


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net_of_a_user.py").write_text(NET)
    (tmp_path / "helper_of_a_user.py").write_text("WIDTH = 72\n")
    yield tmp_path
    for name in ("net_of_a_user", "helper_of_a_user", "bopscount_user_file"):
        sys.modules.pop(name, None)


@pytest.fixture
def net(folder):
    return ["-f", str(folder / "net_of_a_user.py"), "-m", "Net", "-s", "1x8x8", "--no-timing"]


def output_of(arguments, capsys):
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def report_of(arguments, capsys):
    return Report.from_dict(json.loads(output_of([*arguments, "--json"], capsys)))


def test_torchstat_s_flags_print_the_table(net, capsys):
    text = output_of(net, capsys)
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["module", "name"]
    assert lines[1].split()[:5] == ["0", "body.0", "1", "8", "8"]
    assert "Total params: 748" in lines
    assert "duration[%]" not in text


def test_the_long_flags_are_the_short_ones(folder, net, capsys):
    file = str(folder / "net_of_a_user.py")
    long = ["--file", file, "--model-name", "Net", "--size", "1x8x8", "--no-timing"]
    assert output_of(long, capsys) == output_of(net, capsys)


@pytest.mark.parametrize("name", ["Net", "make", "made", "Model"])
def test_a_class_a_function_and_a_module_of_a_file_can_be_named(net, name, capsys):
    net[net.index("-m") + 1] = name
    assert report_of(net, capsys).totals.macs == MACS


def test_without_a_name_the_file_s_model_is_taken(net, capsys):
    at = net.index("-m")
    assert report_of(net[:at] + net[at + 2 :], capsys).totals.macs == MACS


def test_a_callable_of_a_module_in_the_current_folder_can_be_named(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    arguments = ["net_of_a_user:make", "-s", "1x8x8", "--no-timing"]
    assert report_of(arguments, capsys).totals.macs == MACS


def test_a_callable_of_an_installed_package_can_be_named(capsys):
    report = report_of(["torch.nn:ReLU", "--no-timing"], capsys)
    assert report.totals.flops == 3 * 224 * 224


def test_a_built_in_network_knows_its_input_size(capsys):
    report = report_of(["binary_resnet18", "--no-timing"], capsys)
    assert report.totals.bops == 2_198_185_472
    small = report_of(["binary_resnet18", "--no-timing", "-s", "3x64x64"], capsys)
    assert 0 < small.totals.bops < report.totals.bops
    assert small.totals.params == report.totals.params


def test_timing_is_on_by_default(net, capsys):
    assert "duration[%]" in output_of(net[:-1], capsys)


def test_rules_choose_what_counts(net, capsys):
    plain, full = report_of(net, capsys), report_of([*net, "--rules", "full"], capsys)
    assert (plain.rules, full.rules) == ("torchstat", "full")
    assert full.totals.flops > plain.totals.flops
    assert report_of([*net, "--rules", "torchstat"], capsys) == plain


def test_granularity_chooses_the_height_of_the_rows(net, capsys):
    names = [
        [row.module_path for row in report_of([*net, "--granularity", str(height)], capsys).rows]
        for height in (1, 2, 3)
    ]
    assert names == [["body.0", "body.1", "fc"], ["body", "fc"], ["Net"]]


def test_the_batch_size_multiplies_the_macs(net, capsys):
    report = report_of([*net, "--batch-size", "3"], capsys)
    assert report.batch_size == 3
    assert report.totals.macs == 3 * MACS


def test_several_inputs_are_given_by_commas(net, capsys):
    net[net.index("-m") + 1] = "TwoInputs"
    net[net.index("-s") + 1] = "4,3"
    assert report_of(net, capsys).totals.macs == 4 * 2 + 3 * 2


def test_the_dtype_of_the_input_can_be_chosen(net, capsys):
    net[net.index("-m") + 1] = "Tokens"
    net[net.index("-s") + 1] = "5"
    report = report_of([*net, "--dtype", "int64"], capsys)
    assert report.rows[0].kind == "embedding"
    assert report.rows[0].output_shape == (5, 4)


def test_json_to_standard_output_replaces_the_table(net, capsys):
    data = json.loads(output_of([*net, "--json"], capsys))
    assert data["schema_version"] == 1
    assert Report.from_dict(data).totals.macs == MACS


def test_json_to_a_file_stands_beside_the_table(net, folder, capsys):
    target = folder / "report.json"
    text = output_of([*net, "--json", str(target)], capsys)
    report = Report.from_dict(json.loads(target.read_text()))
    assert str(report) == text
    assert report.totals.macs == MACS


def check_csv(text):
    header, *rows = csv.reader(io.StringIO(text))
    assert header[:5] == ["module name", "input shape", "output shape", "params", "memory(MB)"]
    assert [row[0] for row in rows] == ["body.0", "body.1", "fc"]
    assert [int(row[header.index("params")]) for row in rows] == [18, 0, 730]
    assert rows[0][1] == "1 8 8"


def test_csv_to_standard_output_replaces_the_table(net, capsys):
    check_csv(output_of([*net, "--csv"], capsys))


def test_csv_to_a_file_stands_beside_the_table(net, folder, capsys):
    target = folder / "layers.csv"
    text = output_of([*net, "--csv", str(target)], capsys)
    check_csv(target.read_text())
    assert "Total params: 748" in text


def test_json_and_csv_files_can_be_written_at_once(net, folder, capsys):
    paths = [folder / "report.json", folder / "layers.csv"]
    output_of([*net, "--json", str(paths[0]), "--csv", str(paths[1])], capsys)
    assert json.loads(paths[0].read_text())["totals"]["macs"] == MACS
    check_csv(paths[1].read_text())


def test_columns_are_chosen_by_their_headers(net, capsys):
    text = output_of([*net, "--columns", "module name, W bits,A bits"], capsys)
    lines = text.splitlines()
    assert lines[0].split() == ["module", "name", "W", "bits", "A", "bits"]
    assert lines[1].split() == ["0", "body.0", "32", "32"]
    wide = output_of([*net, "--columns", "default,bits", "--csv"], capsys)
    assert wide.splitlines()[0].endswith("MemR+W(B),W bits,A bits,W bits source,A bits source")


def test_a_convention_s_total_stands_under_the_table(net, capsys):
    text = output_of([*net, "--convention", "reactnet"], capsys)
    assert f"Total {MACS:,} OPs (convention: reactnet)" in text.splitlines()


def test_all_conventions_stand_side_by_side(net, capsys):
    lines = output_of([*net, "--conventions"], capsys).splitlines()
    assert lines[0].split() == ["convention", "value", "unit"]
    assert lines[1].split() == ["reactnet", f"{MACS:,}", "OPs"]
    assert json.loads(output_of([*net, "--conventions", "--json"], capsys))["conventions"]


def test_zero_weights_can_be_discounted(net, capsys):
    report = report_of([*net, "--discount-zeros"], capsys)
    assert report.discount_zeros
    assert report.totals.macs == MACS  # of random weights none is zero


@pytest.mark.parametrize("flag", ["--columns", "--convention"])
def test_an_unknown_column_or_convention_is_an_error(net, flag, capsys):
    assert main([*net, flag, "nonsense"]) == 2
    error = capsys.readouterr().err
    assert "'nonsense'" in error
    assert error.count("\n") == 1


def test_list_names_every_built_in_network_with_its_size(capsys):
    lines = output_of(["--list"], capsys).splitlines()
    assert len(lines) == len(NETWORKS)
    assert lines[0].split()[:2] == ["binary_resnet18", "3x224x224"]


def test_version_names_all_versions_and_the_build_type(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text == (
        f"bopscount {version('bopscount')}, torch {version('torch')}, "
        f"numpy {version('numpy')}, core built as {_core.build_type}\n"
    )
    assert bopscount.__version__ == version("bopscount")
    assert _core.build_type in ("Release", "RelWithDebInfo", "MinSizeRel", "Debug")


def test_help_shows_every_flag_and_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    flags = "-f -m -s --batch-size --dtype --rules --granularity --no-timing --json --csv --list"
    for word in (*flags.split(), "--debug", "--version", "examples:", "bopscount -f net.py"):
        assert word in text


def start(command, folder):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=folder, check=False
    )


def test_python_m_bopscount_is_the_command(net, folder):
    done = start([sys.executable, "-m", "bopscount", *net], folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Total params: 748" in done.stdout
    bad = start([sys.executable, "-m", "bopscount", "absent_network"], folder)
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.count("\n") == 1
    assert "Traceback" not in bad.stderr


def test_the_console_script_is_the_command(net, folder):
    script = shutil.which("bopscount", path=sysconfig.get_path("scripts"))
    assert script is not None
    done = start([script, *net], folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Total params: 748" in done.stdout


def test_debug_shows_the_traceback(folder):
    done = start([sys.executable, "-m", "bopscount", "absent_network", "--debug"], folder)
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "InputError" in done.stderr
