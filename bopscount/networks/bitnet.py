"""Decoder like BitNet b1.58 (Ma et al., 2024): ternary weights, 8-bit activations.

The linear layers of the blocks are `BitLinear`; the embedding, the attention products and the
output layer are in full precision. Ternary weights are stored in two bits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from bopscount.bits.registered_classes import built_in_layer
from bopscount.networks.layers import quantise, straight_through

WEIGHT_BITS = 2
INPUT_BITS = 8
_TINY = 1e-5


@built_in_layer(weight_bits=WEIGHT_BITS, input_bits=INPUT_BITS)
class BitLinear(nn.Linear):
    """Linear layer that rounds its weight to -1, 0, 1 and each input vector to 8 bits."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        step = x.abs().amax(-1, keepdim=True).clamp(min=_TINY) / (2 ** (INPUT_BITS - 1) - 1)
        scale = self.weight.abs().mean().clamp(min=_TINY)
        ternary = torch.round(self.weight / scale).clamp(-1, 1) * scale
        return F.linear(
            straight_through(quantise(x, INPUT_BITS, step), x),
            straight_through(ternary, self.weight),
        )


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = BitLinear(width, width, bias=False)
        self.key = BitLinear(width, width, bias=False)
        self.value = BitLinear(width, width, bias=False)
        self.output = BitLinear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply attention to (batch, tokens, width)."""
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        result: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return result


class FeedForward(nn.Module):
    """Gated squared ReLU between BitLinear layers."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = BitLinear(width, hidden, bias=False)
        self.up = BitLinear(width, hidden, bias=False)
        self.down = BitLinear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to (batch, tokens, width)."""
        result: Tensor = self.down(F.relu(self.gate(x)).square() * self.up(x))
        return result


class DecoderBlock(nn.Module):
    """Attention and feed-forward, each after a norm and with a shortcut."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.RMSNorm(width)
        self.feed_forward = FeedForward(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to (batch, tokens, width)."""
        x = x + self.attention(self.norm1(x))
        result: Tensor = x + self.feed_forward(self.norm2(x))
        return result


class BitNet(nn.Module):
    """Token embedding, decoder blocks, norm, output layer."""

    def __init__(
        self,
        vocabulary: int = 32000,
        width: int = 768,
        heads: int = 12,
        hidden: int = 2048,
        blocks: int = 12,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.Sequential(*(DecoderBlock(width, heads, hidden) for _ in range(blocks)))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map token ids (batch, tokens) to (batch, tokens, vocabulary)."""
        logits: Tensor = self.head(self.norm(self.blocks(self.embedding(tokens))))
        return logits


def bitnet() -> nn.Module:
    """Return a decoder of 12 blocks of width 768, with 84,934,656 ternary weights."""
    return BitNet()
