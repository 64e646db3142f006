"""A decoder as transformers has them: masks out of positions, a cache, a dict as output."""

from collections import OrderedDict

import pytest
import torch
from support.small_models import scan
from support.tracing_cases import table_of_real_run
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom


class Cache:
    """Keys and values of former tokens, as an object that forward extends."""

    def __init__(self, n_layers):
        self.layers = [None] * n_layers
        self.filled = torch.zeros(n_layers)

    def update(self, index, key, value):
        if self.layers[index] is not None:
            key = torch.cat([self.layers[index][0], key], 1)
            value = torch.cat([self.layers[index][1], value], 1)
        self.layers[index] = key, value
        self.filled[index] = key.shape[1]
        return key, value


class Output(OrderedDict):
    """A dict whose items are attributes too."""

    def __init__(self, **items):
        super().__init__(items)
        self.__dict__.update(items)


class Decoder(nn.Module):
    """What transformers' decoders do: a mask out of positions, a cache, a dict as output."""

    def __init__(self, n_layers=2, width=8):
        super().__init__()
        self.embed = nn.Embedding(10, width)
        self.layers = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(n_layers))

    def forward(self, input_ids, attention_mask=None, past=None, use_cache=True):
        past = Cache(len(self.layers)) if past is None and use_cache else past
        start = 0 if past is None or past.layers[0] is None else past.layers[0][0].shape[1]
        x = self.embed(input_ids)
        positions = torch.arange(start, start + x.shape[1])
        allowed = torch.arange(start + x.shape[1])[None] <= positions[:, None]
        if attention_mask is not None and not attention_mask.all():
            allowed = allowed & attention_mask[:, None].bool()
        mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(x.dtype).min)
        for index, layer in enumerate(self.layers):
            query, key, value = layer(x).chunk(3, -1)
            if past is not None:
                key, value = past.update(index, key, value)
            x = x + F.scaled_dot_product_attention(query, key, value, mask)
        return Output(last_hidden_state=x, past=past)


@pytest.mark.parametrize("real", [False, True])
def test_a_decoder_with_masks_a_cache_and_a_dict_as_output_is_followed(real):
    model = Decoder().eval()
    ids = torch.arange(5)[None]
    projections = 2 * 8 * 24

    def macs_of(inputs):
        table = table_of_real_run(model, inputs) if real else None
        return (scan(model, inputs) if table is None else table.totals()).macs

    assert macs_of({"input_ids": ids}) == 5 * projections + 2 * 2 * 5 * 5 * 8
    padded = torch.tensor([[0, 1, 1, 1, 1]])
    assert macs_of({"input_ids": ids, "attention_mask": padded}) == macs_of({"input_ids": ids})
    with torch.no_grad():
        cache = model(ids).past
    layers, filled = list(cache.layers), cache.filled.tolist()
    step = {"input_ids": ids[:, :1], "past": cache}
    assert macs_of(step) == projections + 2 * 2 * 6 * 8
    assert all(now is then for now, then in zip(cache.layers, layers, strict=True))
    assert cache.filled.tolist() == filled == [5, 5]
