"""Packed sequences cost their steps, and no padding."""

import pytest
import torch
from support.op_cases import ROWS
from support.tracing_cases import Calls, Watched, form, report_of, table_of_real_run, values
from torch import nn

import bopscount


def packed(layer, **options):
    def forward(self, x):
        sequence = nn.utils.rnn.pack_padded_sequence(x, self.lengths, **options)
        out, _ = self.layer(sequence)
        return nn.utils.rnn.pad_packed_sequence(out)

    model = Calls(forward, layer=layer)
    model.lengths = torch.tensor([3, 3, 2, 2, 1])
    return model


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_packed_sequence_costs_its_steps_and_no_padding(layer):
    model = packed(layer(8, 6)).eval()
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[layer]
    macs = (3 + 3 + 2 + 2 + 1) * gates * 6 * (8 + 6)
    report = report_of(model, ROWS, run="never")
    assert report.totals.macs == macs
    assert report.uncounted == []


def test_packed_sequences_of_any_form_are_followed():
    model = packed(nn.LSTM(8, 6, batch_first=True, bidirectional=True), batch_first=True).eval()
    model = Watched(model)
    x = values(5, 3, 8)
    assert report_of(model, x, run="never").totals.macs == 2 * 11 * 24 * (8 + 6)
    traced = form(model.outputs.last)
    with torch.no_grad():
        assert form(model(x)) == traced
    unsorted = packed(nn.GRU(8, 6), enforce_sorted=False).eval()
    unsorted.lengths = torch.tensor([1, 3, 2, 3, 2])
    assert report_of(unsorted, ROWS, run="never").totals.macs == 11 * 18 * 14
    listed = packed(nn.GRU(8, 6)).eval()
    listed.lengths = [3, 3, 2, 2, 1]
    assert report_of(listed, ROWS, run="never").totals.macs == 11 * 18 * 14
    given = nn.utils.rnn.pack_padded_sequence(ROWS, [3, 3, 2, 2, 1])
    model = nn.LSTM(8, 6)
    report = report_of(model, (given, (values(1, 5, 6), values(1, 5, 6))), run="never")
    assert report.totals.macs == 11 * 24 * 14
    assert report.uncounted == []


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_packed_sequence_of_a_model_that_is_run_is_counted(layer):
    table = table_of_real_run(packed(layer(8, 6)).eval(), ROWS)
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[layer]
    assert table.totals().macs == 11 * gates * 6 * (8 + 6)
    assert bopscount.count(table).uncounted == []
