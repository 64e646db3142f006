"""Inputs for networks of one op, and the check that such a network is traced right."""

import warnings

import torch

import bopscount
from support.tracing_cases import Watched, form, macs_on_meta, report_of, table_of_real_run, values

X1, X2, X3 = values(2, 4, 9), values(2, 4, 9, 8), values(2, 4, 5, 6, 7)
ROWS = values(3, 5, 8)
IDS = torch.tensor([[1, 2, 0], [4, 4, 3]])


def copies(inputs):
    """In-place networks write on what they get."""
    if isinstance(inputs, torch.Tensor):
        return inputs.clone()
    return tuple(copies(item) for item in inputs) if isinstance(inputs, tuple) else inputs


def check(model, inputs, macs=None):
    """By rules, on meta and for real: the same MACs, outputs of the same form."""
    model = Watched(model).eval()
    expected = macs_on_meta(model, inputs) if macs is None else macs
    for rules in ("torchstat", "full"):
        report = report_of(model, copies(inputs), run="never", rules=rules)
        assert report.totals.macs == expected
        assert report.uncounted == []
        assert report.status == "complete"
        assert not report.ran_model
    traced = form(model.outputs.last)
    with warnings.catch_warnings():
        # torch tells where oneDNN does not do it.
        warnings.simplefilter("ignore")
        real = table_of_real_run(model, copies(inputs))
    assert bopscount.count(real).uncounted == []
    of_real_run = model.outputs.copies
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = model(*copies(inputs)) if isinstance(inputs, tuple) else model(copies(inputs))
    assert traced == form(output)
    torch.testing.assert_close(of_real_run, output)
    assert real.totals().macs == expected
    return report
