"""Where Python enters what torch has written in C: fields that Python code does not see."""

import ctypes
from types import BuiltinFunctionType, GetSetDescriptorType, MethodDescriptorType

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own custom

WORD = ctypes.sizeof(ctypes.c_void_p)
# From PyTypeObject in CPython's object.h, the same from 3.10 to 3.13.
AS_MAPPING, CALL, GETATTRO = 14 * WORD, 16 * WORD, 18 * WORD
# A descriptor's last words: property table; method table and entry. A function's last: its entry.
LAST_WORDS = {MethodDescriptorType: 2, GetSetDescriptorType: 1, BuiltinFunctionType: 1}


def words(address, n):
    return [ctypes.c_size_t.from_address(address + at * WORD).value for at in range(n)]


def last_words(value):
    n = LAST_WORDS[type(value)]
    return words(id(value) + type(value).__basicsize__ - n * WORD, n)


def entries(*classes):
    """The entries of torch's methods, properties and functions, and the slots of the classes."""
    owners = {"Tensor": vars(torch._C.TensorBase), "torch": vars(torch), "F": vars(F)}
    found = {
        (owner, name): last_words(value)
        for owner, members in owners.items()
        for name, value in members.items()
        if type(value) in LAST_WORDS
    }
    (mapping,) = words(id(torch.Tensor) + AS_MAPPING, 1)
    found["Tensor", "subscripts"] = words(mapping, 3)
    for cls in (nn.Module, nn.Sequential, nn.Conv2d, *classes):
        for slot in (CALL, GETATTRO):
            found[cls.__name__, slot] = words(id(cls) + slot, 1)
    return found
