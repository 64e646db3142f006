"""Bits of dtypes, torch's own and those that only have a name."""

import re
from typing import Any

from bopscount.bits.adapters.family import MissingError

_NAMES = {"bool": 1, "half": 16, "float": 32, "double": 64, "long": 64, "int": 32, "short": 16}


def bits_of_dtype(dtype: Any) -> int:
    """torch.int4 is 4, torch.float8_e4m3fn is 8, an enum of "int4" is 4.

    Raises:
        MissingError: For what names no number of bits.
    """
    name = str(getattr(dtype, "name", dtype)).lower().rpartition(".")[2]
    if name in _NAMES:
        return _NAMES[name]
    found = re.match(r"(?:q|u|qu)?(?:int|float|fp|bfloat|nf|bf)(\d+)", name)
    if found is None:
        raise MissingError("dtype")
    return int(found[1])
