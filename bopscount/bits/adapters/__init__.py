"""Adapters that read the bit widths of other libraries' layers.

A class is recognised by module path, name and attributes; no library is imported. A new code
base takes a file with a `Family` and a line in the table below. If several families match a
class, the first whose attributes are present applies.

Imports `bits.layer_bits`, and torch for stand-ins and tensor subclasses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bopscount.bits.adapters import (
    binarynet,
    bit_bert,
    bitnet,
    bitorch,
    bits_per_quantizer,
    bitsandbytes,
    bnn,
    brevitas,
    compressed_tensors,
    dorefa,
    ewgs,
    gptq,
    haq,
    hard_binary,
    hawq,
    ir_net,
    lsq,
    micronet,
    nni,
    pact,
    quanto,
    torch_ao_converted,
    torch_ao_qat,
    torchao,
    torchao_qat,
    xnor_net,
)
from bopscount.bits.adapters.family import Family, MissingError, has
from bopscount.bits.layer_bits import LayerBits

if TYPE_CHECKING:
    from torch import nn

FAMILIES: tuple[Family, ...] = (
    hard_binary.FAMILY,
    binarynet.FAMILY,
    *xnor_net.FAMILIES,
    *ir_net.FAMILIES,
    bnn.FAMILY,
    bitorch.FAMILY,
    *bit_bert.FAMILIES,
    ewgs.FAMILY,
    *brevitas.FAMILIES,
    *hawq.FAMILIES,
    haq.FAMILY,
    *lsq.FAMILIES,
    pact.FAMILY,
    *dorefa.FAMILIES,
    micronet.FAMILY,
    *bits_per_quantizer.FAMILIES,
    *nni.FAMILIES,
    *torch_ao_qat.FAMILIES,
    *torch_ao_converted.FAMILIES,
    *torchao_qat.FAMILIES,
    *bitsandbytes.FAMILIES,
    bitnet.FAMILY,
    quanto.FAMILY,
    *gptq.FAMILIES,
)
ODD: tuple[Family, ...] = (torchao.FAMILY, compressed_tensors.FAMILY, nni.ODD)
"""Families for modules of torch's own classes with an unusual weight or forward."""

_NAMES = frozenset(name for family in (*FAMILIES, *ODD) for name in family.classes)
_TORCH_S_NAMES = frozenset(("Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "Linear", "Embedding"))


def may_apply(cls: type) -> bool:
    """Return whether a family might match the class, by name alone; cheap."""
    return any(
        base.__name__ in _NAMES and not base.__module__.startswith("torch.nn.")
        for base in cls.__mro__
    )


def adapter_for(module: nn.Module) -> tuple[LayerBits, str | None] | None:
    """Return the bit widths of a module, and the name of the inner module they apply to, if any.

    Returns:
        None if no family matches. If the class matches but the attributes are missing, widths
        that are all None, with an assumption.
    """
    cls = type(module)
    suspects = []
    for family in (*FAMILIES, *ODD):
        if not family.knows(cls):
            continue
        missing = next((path for path in family.needs if not has(module, path)), None)
        if missing is None:
            try:
                bits = family.read(module)
            except MissingError as error:
                missing = error.args[0]
            else:
                if bits is not None:
                    return bits, family.inner
                continue
        if family.modules or cls.__name__ not in _TORCH_S_NAMES:
            suspects.append((family.name, missing))
    if not suspects:
        return None
    expected = ", ".join(f"`{path}` ({name})" for name, path in suspects)
    return LayerBits(
        assumptions=(
            f"{cls.__name__} looks like a quantised layer, but has no attribute {expected}; "
            "it is counted as full precision",
        )
    ), None


def at_path(bits: LayerBits, path: str) -> LayerBits:
    """Return `bits` with the module's path in its assumptions."""
    return replace(
        bits, assumptions=tuple(f"{path or 'the model'}: {text}" for text in bits.assumptions)
    )
