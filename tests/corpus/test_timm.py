"""Every timm model, built on meta, against FlopCounterMode."""

from __future__ import annotations

import pytest
import torch

from corpus.comparing import Library, Outcome, message, ours, outcome_of, reference

timm = pytest.importorskip("timm")


def compare(name: str) -> Outcome:
    try:
        with torch.device("meta"):
            model = timm.create_model(name).eval()
    except Exception as error:
        return Outcome("not_built", our_error=message(error))
    # With gradients wanted, FlopCounterMode stumbles over in-place ops on views.
    model.requires_grad_(False)
    size = model.default_cfg.get("input_size", (3, 224, 224))
    inputs = (torch.empty(1, *size, device="meta"),)
    return outcome_of(model, ours(model, inputs), reference(model, inputs), inputs=str(size))


LIBRARY = Library("timm", timm.list_models, compare, lambda: timm.__version__)


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore")
def test_counts_what_flop_counter_mode_counts(model_name):
    if LIBRARY.check(model_name).outcome in ("neither", "not_built"):
        pytest.skip(LIBRARY.outcomes[model_name].our_error)
