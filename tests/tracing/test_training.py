"""training=True: the branches and layers of training."""

from support.small_models import IMAGE, NETWORK_MACS, PER_ROW, ROWS, linear, scan
from support.tracing_cases import Calls, report_of, values
from torch import nn


def test_branches_of_training_are_taken_with_training_only():
    def forward(self, x):
        x = self.a(x)
        return (x, self.b(x)) if self.training else x

    model = Calls(forward, a=linear(), b=nn.Linear(6, 4, bias=False)).train()
    assert scan(model, ROWS).macs == 3 * PER_ROW
    assert scan(model, ROWS, training=True).macs == 3 * (PER_ROW + 24)
    assert scan(model.eval(), ROWS, training=True).macs == 3 * PER_ROW
    assert not model.training


def test_layers_in_training_are_traced():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout2d(), nn.RReLU(), nn.InstanceNorm2d(4),
        nn.Flatten(), nn.Dropout(), nn.Linear(144, 5), nn.BatchNorm1d(5), nn.AlphaDropout(),
    )  # fmt: skip
    report = report_of(model, IMAGE, run="never", training=True)
    assert report.totals.macs == NETWORK_MACS
    assert report.status == "complete"
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    x = values(2, 5, 8)
    assert scan(encoder, x, training=True).macs == scan(encoder, x).macs
