"""Research code's layers as their forwards run: what `research` has only the attributes of."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

from support.low_bit.research import Function


class Flat(nn.Module):
    """HardBinaryConv of Bi-Real-Net and of ReActNet's MobileNet: flat weights, a shape beside."""

    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, padding=1):
        super().__init__()
        self.stride, self.padding = stride, padding
        self.number_of_weights = in_channels * out_channels * kernel_size * kernel_size
        self.shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weights = nn.Parameter(torch.rand(self.number_of_weights, 1) * 0.001)

    def forward(self, x):
        real = self.weights.view(self.shape)
        scale = real.abs().mean(3, keepdim=True).mean(2, keepdim=True).mean(1, keepdim=True)
        signed = scale.detach() * torch.sign(real)
        clipped = torch.clamp(real, -1.0, 1.0)
        weights = signed.detach() - clipped.detach() + clipped
        return F.conv2d(x, weights, stride=self.stride, padding=self.padding)


class Shaped(nn.Module):
    """The same of ReActNet's ResNet (a 4-D weight) and of BNext (groups)."""

    def __init__(self, in_channels, out_channels, kernel_size=3, stride=1, padding=1, groups=1):
        super().__init__()
        self.stride, self.padding, self.groups = stride, padding, groups
        self.shape = (out_channels, in_channels // groups, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.rand(self.shape) * 0.001)

    def forward(self, x):
        scale = self.weight.abs().mean((1, 2, 3), keepdim=True)
        return F.conv2d(
            x, scale * self.weight.sign(), stride=self.stride, padding=self.padding,
            groups=self.groups,
        )  # fmt: skip


class BinaryActivation(nn.Module):
    """A sign whose gradient is a piecewise polynomial."""

    def forward(self, x):
        forward = torch.sign(x)
        mask1, mask2, mask3 = x < -1, x < 0, x < 1
        out1 = (-1) * mask1.type(torch.float32) + (x * x + 2 * x) * (1 - mask1.type(torch.float32))
        out2 = out1 * mask2.type(torch.float32) + (-x * x + 2 * x) * (1 - mask2.type(torch.float32))
        out3 = out2 * mask3.type(torch.float32) + 1 * (1 - mask3.type(torch.float32))
        return forward.detach() - out3.detach() + out3


class Shared(nn.Module):
    """One activation for several convolutions, as ReActNet has it."""

    def __init__(self, conv):
        super().__init__()
        self.sign = BinaryActivation()
        self.conv1, self.conv2 = conv(8, 8), conv(8, 8)

    def forward(self, x):
        x = self.sign(x)
        return self.conv1(x) + self.conv2(x)


class Quantiser(nn.Module):
    """Rounds, and knows nothing else."""

    def forward(self, x):
        return x.round()


class QuantAct(nn.Module):
    """HAWQ's: gives the activation and its scaling factor."""

    def __init__(self, activation_bit=8):
        super().__init__()
        self.activation_bit = activation_bit
        self.register_buffer("x_min", torch.zeros(1))
        self.register_buffer("x_max", torch.ones(1))
        self.register_buffer("act_scaling_factor", torch.ones(1))

    def forward(self, x):
        if isinstance(x, tuple):
            x = x[0]
        steps = torch.clamp(torch.round(x / self.act_scaling_factor), 0, 2**self.activation_bit - 1)
        return steps * self.act_scaling_factor, self.act_scaling_factor


class QuantBnConv2d(nn.Module):
    """HAWQ's: a convolution and a batch norm, folded before the weight is quantised."""

    def __init__(self, conv, bn, weight_bit=4):
        super().__init__()
        self.weight_bit, self.full_precision_flag = weight_bit, False
        self.conv, self.bn = conv, bn
        self.register_buffer("convbn_scaling_factor", torch.zeros(conv.out_channels))

    def forward(self, given):
        x, scaling = given
        factor = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        weight = torch.round(self.conv.weight * factor.reshape([-1, 1, 1, 1]))
        bias = (0 - self.bn.running_mean) * factor + self.bn.bias
        x_int = x / scaling
        out = F.conv2d(
            x_int, weight, torch.round(bias), self.conv.stride, self.conv.padding,
            self.conv.dilation, self.conv.groups,
        )  # fmt: skip
        return out * scaling, scaling


class QuantLinear(nn.Module):
    """HAWQ's: parameters of its own, taken from the plain layer."""

    def __init__(self, linear, weight_bit=4):
        super().__init__()
        self.weight_bit = weight_bit
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, given):
        x, scaling = given
        return F.linear(x / scaling, weight=self.weight.round(), bias=self.bias) * scaling


class QuantizeEmbedding(nn.Embedding):
    """BiT's and BiBERT's."""

    def __init__(self, *args, weight_bits=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight_bits = weight_bits

    def forward(self, ids):
        weight = self.weight.sign() * self.weight.abs().mean()
        return F.embedding(ids, weight, self.padding_idx, self.max_norm, self.norm_type,
                           self.scale_grad_by_freq, self.sparse)  # fmt: skip


class BinaryQuantizer(torch.autograd.Function):
    """BiBERT's sign of queries, keys, values and probabilities."""

    @staticmethod
    def forward(ctx, x):
        return torch.sign(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class BinaryQuantiser(nn.Module):
    """The same as a module, as BinaryViT has it."""

    def forward(self, x):
        return BinaryQuantizer.apply(x)


class SelfAttention(nn.Module):
    """BinaryViT's: projections of one bit, and products of binarised tensors."""

    def __init__(self, linear, sign, width=16, heads=2):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (linear(width, width) for _ in range(3))
        self.sign = sign

    def split(self, x):
        return x.view(*x.shape[:2], self.heads, -1).permute(0, 2, 1, 3)

    def forward(self, x):
        query = self.split(self.sign(self.query(x)))
        key = self.split(self.sign(self.key(x)))
        value = self.split(self.sign(self.value(x)))
        scores = torch.matmul(query, key.transpose(-1, -2)) / query.shape[-1] ** 0.5
        probabilities = self.sign(scores.softmax(-1))
        return torch.matmul(probabilities, value).transpose(1, 2).flatten(2)


class Padded(nn.Conv2d):
    """bitorch's: pads by itself, with ones, then convolves without padding."""

    def __init__(self, *args, weights=1, inputs=1, **kwargs):
        super().__init__(*args, **kwargs)
        self._weight_quantize = Knows(weights)
        self.activation = nn.Module()
        self.activation.activation_function = Knows(inputs)

    def forward(self, x):
        x = self.activation.activation_function(x)
        both = [side for side in reversed(self.padding) for _ in range(2)]
        x = F.pad(x, both, mode="constant", value=1)
        weight = self._weight_quantize(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Knows(nn.Module):
    """A quantiser with a `bit_width`, as bitorch's functions have."""

    def __init__(self, bit_width):
        super().__init__()
        self.bit_width = bit_width

    def forward(self, x):
        return Function.apply(x)


class QuantConvTranspose2d(nn.ConvTranspose2d):
    """micronet's."""

    def __init__(self, *args, w_bits=4, a_bits=8, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight_quantizer, self.activation_quantizer = nn.Module(), nn.Module()
        self.weight_quantizer.w_bits, self.activation_quantizer.a_bits = w_bits, a_bits

    def forward(self, x):
        return F.conv_transpose2d(
            x.round(), self.weight.round(), self.bias, self.stride, self.padding,
            self.output_padding, self.groups, self.dilation,
        )  # fmt: skip


def activation_quantize_fn(a_bit):
    """DoReFa: the classes come out of a factory, closures and all."""

    class activation_quantize_fn(nn.Module):
        def __init__(self):
            super().__init__()
            self.a_bit = a_bit

        def forward(self, x):
            if self.a_bit == 32:
                return x
            return torch.round(torch.clamp(x, 0, 1) * (2**self.a_bit - 1)) / (2**self.a_bit - 1)

    return activation_quantize_fn()


def conv2d_Q_fn(w_bit):
    class Conv2d_Q(nn.Conv2d):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.w_bit = w_bit

        def forward(self, x, order=None):
            weight = torch.tanh(self.weight)
            weight = torch.round(weight / weight.abs().max() * (2 ** (self.w_bit - 1)))
            return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation,
                            self.groups)  # fmt: skip

    return Conv2d_Q


class QuantModule(nn.Module):
    """BRECQ's: any layer, by the function it comes to; quantises what comes out."""

    def __init__(self, layer, n_bits=4, n_bits_act=8):
        super().__init__()
        self.fwd_func = F.conv2d if isinstance(layer, nn.Conv2d) else F.linear
        self.fwd_kwargs = {"stride": layer.stride} if isinstance(layer, nn.Conv2d) else {}
        self.weight, self.bias = layer.weight, layer.bias
        self.weight_quantizer, self.act_quantizer = nn.Module(), nn.Module()
        self.weight_quantizer.n_bits, self.act_quantizer.n_bits = n_bits, n_bits_act
        self.use_weight_quant = self.use_act_quant = True

    def forward(self, x):
        return self.fwd_func(x, self.weight.round(), self.bias, **self.fwd_kwargs).round()


class QuantizerModuleWrapper(nn.Module):
    """NNI 2's: the layer inside, its widths beside."""

    def __init__(self, module, **quant_bits):
        super().__init__()
        self.module, self.quant_bits = module, quant_bits

    def forward(self, x):
        return self.module(x.round())


class QuantizedConv2d(nn.Conv2d):
    """Bayesian Bits': widths of the weight and of what comes out."""

    def __init__(self, *args, n_bits=4, n_bits_act=8, **kwargs):
        super().__init__(*args, **kwargs)
        self.n_bits, self.n_bits_act = n_bits, n_bits_act

    def forward(self, x):
        return self._conv_forward(x, self.weight.round(), self.bias).round()


class QuantActivation(nn.Module):
    """A fake quantiser of MQBench, by its range."""

    def __init__(self, low, high):
        super().__init__()
        self.quant_min, self.quant_max = low, high
        self.fake_quant_enabled = torch.ones(1)

    def forward(self, x):
        return x.round()


class FusedConv(nn.Conv2d):
    """MQBench's ConvBn2d and others: a fake quantiser of the weight."""

    def __init__(self, *args, low=-8, high=7, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight_fake_quant = QuantActivation(low, high)

    def forward(self, x):
        return self._conv_forward(x, self.weight_fake_quant(self.weight), self.bias)
