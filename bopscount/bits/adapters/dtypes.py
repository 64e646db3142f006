"""Bit widths of dtypes, of torch and of other libraries by name."""

import re
from typing import Any

from bopscount.bits.adapters.family import MissingError

_NAMES = {"bool": 1, "half": 16, "float": 32, "double": 64, "long": 64, "int": 32, "short": 16}


def bits_of_dtype(dtype: Any) -> int:
    """Return the bits of a dtype: 4 for torch.int4 or an enum "int4", 8 for torch.float8_e4m3fn.

    Raises:
        MissingError: If the name contains no number of bits.
    """
    name = str(getattr(dtype, "name", dtype)).lower().rpartition(".")[2]
    if name in _NAMES:
        return _NAMES[name]
    found = re.match(r"(?:q|u|qu)?(?:int|float|fp|bfloat|nf|bf)(\d+)", name)
    if found is None:
        raise MissingError("dtype")
    return int(found[1])
