"""One model of a library: our count beside FlopCounterMode's."""

from __future__ import annotations

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import bopscount

RESULTS = Path(__file__).parent / "results.json"

OUTCOMES = {
    "exact": "2 x MACs equals FlopCounterMode's count (less what it has no formula for)",
    "exact_variant": "equal once both are given a variant: eager attention, batched experts",
    "differing": "the counts differ",
    "failed": "FlopCounterMode counts it, bopscount raises",
    "only_ours": "bopscount counts it, FlopCounterMode raises",
    "neither": "both raise",
    "not_built": "cannot be built from its defaults",
}


@dataclass
class Outcome:
    """What became of one model.

    Attributes:
        outcome: One of OUTCOMES.
        inputs: How the model was called.
        unseen_macs: Those among `macs` that FlopCounterMode does not count.
        reference_how: What FlopCounterMode needed, beyond the same call on meta.
        text_only: Whether images or sound that forward takes beside text were left out.
        ran: Whether we had to run the model's arithmetic.
    """

    outcome: str
    inputs: str = ""
    macs: int | None = None
    unseen_macs: int = 0
    reference_macs: float | None = None
    reference_how: str = ""
    params: int | None = None
    params_agree: bool = True
    layers: int = 0
    milliseconds: float = 0
    text_only: bool = False
    ran: bool = False
    uncounted: list[str] = field(default_factory=list)
    our_error: str = ""
    reference_error: str = ""

    def check(self, name: str) -> None:
        """Fails where FlopCounterMode can and we cannot, or where the numbers differ."""
        assert self.params_agree, f"{name}: {self.params} params are not the model's"
        assert self.outcome != "failed", f"{name}: {self.our_error}"
        assert self.outcome != "differing", (
            f"{name}: {self.macs} MACs, FlopCounterMode {self.reference_macs}"
        )


UNSEEN = {
    "bilinear",
    "mv",
    "dot",
    "vdot",
    "addmv",
    "addbmm",
    "cdist",
    "_cdist_forward",
    "_euclidean_dist",
    "_int_mm",
}
"""Ops that multiply and accumulate, and that FlopCounterMode has no formula for."""


@dataclass
class Count:
    """Counted MACs, those of UNSEEN ops among them, or why not."""

    macs: float | None = None
    unseen: int = 0
    error: str = ""
    table: Any = None
    milliseconds: float = 0


def message(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    return text[:400]


def to_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to("meta")
    if isinstance(value, dict):
        return {key: to_meta(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(to_meta(item) for item in value)
    return value


def call(model: nn.Module, inputs: Any) -> Any:
    return model(**inputs) if isinstance(inputs, dict) else model(*inputs)


def reference(model: nn.Module, inputs: Any) -> Count:
    """FlopCounterMode's MACs."""
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            call(model, inputs)
    except Exception as error:
        return Count(error=message(error))
    return Count(counter.get_total_flops() / 2)


def ours(model: nn.Module, inputs: Any, run: str = "never") -> Count:
    start = time.perf_counter()
    try:
        table = bopscount.trace(model, inputs=inputs, run=run)
    except Exception as error:
        return Count(error=message(error))
    seconds = time.perf_counter() - start
    macs, unseen = table.totals().macs, unseen_macs(table)
    return Count(macs, unseen, table=table, milliseconds=seconds * 1e3)


def unseen_macs(table: bopscount.LayerTable) -> int:
    names = [op.removeprefix("aten.").split(".")[0].lower() in UNSEEN for op in table.ops]
    totals = bopscount._core.count_totals(table.records[np.array(names, bool)], "torchstat")
    return int(dict(zip(bopscount._core.METRICS, totals, strict=True))["macs"])


def outcome_of(model: nn.Module, mine: Count, theirs: Count, **more: Any) -> Outcome:
    if mine.macs is None:
        kind = "neither" if theirs.macs is None else "failed"
    elif theirs.macs is None:
        kind = "only_ours"
    else:
        kind = "exact" if mine.macs - mine.unseen == theirs.macs else "differing"
    outcome = Outcome(
        kind,
        macs=None if mine.macs is None else int(mine.macs),
        reference_macs=theirs.macs,
        our_error=mine.error,
        reference_error=theirs.error,
        unseen_macs=mine.unseen,
        milliseconds=round(mine.milliseconds, 2),
        **more,
    )
    if mine.table is not None:
        outcome.params = int(mine.table.totals().params)
        outcome.params_agree = outcome.params == sum(p.numel() for p in model.parameters())
        outcome.layers = len(mine.table)
        outcome.ran = bool(mine.table.ran_model)
        outcome.uncounted = sorted({op.op for op in bopscount.count(mine.table).uncounted})
    return outcome


# --- a run over a library ---------------------------------------------------


class Library:
    """Outcomes of one library, model by model.

    Attributes:
        names: Its models.
        compare: Gives the outcome for a name.
    """

    def __init__(
        self,
        title: str,
        names: Callable[[], list[str]],
        compare: Callable[[str], Outcome],
        version: Callable[[], str],
    ) -> None:
        self.title, self._names, self._compare, self._version = title, names, compare, version
        self.outcomes: dict[str, Outcome] = {}

    def names(self) -> list[str]:
        return self._names()

    def check(self, name: str) -> Outcome:
        outcome = self.outcomes[name] = self._compare(name)
        outcome.check(name)
        return outcome

    def as_dict(self) -> dict[str, Any]:
        return {
            "version": self._version(),
            "torch": torch.__version__,
            "complete": set(self.outcomes) == set(self.names()),
            "counts": counts(self.outcomes.values()),
            "models": {name: asdict(self.outcomes[name]) for name in sorted(self.outcomes)},
        }


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    seen = Counter(outcome.outcome for outcome in outcomes)
    return {kind: seen[kind] for kind in OUTCOMES}


def write_results(libraries: Iterable[Library], path: Path) -> None:
    """Puts each library that ran into the file; the others there stay.

    A run over some of a library's models replaces those models only.
    """
    results = json.loads(path.read_text()) if path.exists() else {}
    for library in libraries:
        if not library.outcomes:
            continue
        new = library.as_dict()
        old = results.get(library.title)
        if old and not new["complete"] and old["version"] == new["version"]:
            models = {**old["models"], **new["models"]}
            new["models"] = models
            new["complete"] = old["complete"]
            new["counts"] = counts(Outcome(**model) for model in models.values())
        results[library.title] = new
    path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


def causes(models: dict[str, dict[str, Any]], key: str) -> list[tuple[str, list[str]]]:
    """Error texts without their numbers, with the models that raise them; most first."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, model in models.items():
        if model[key]:
            groups[_cause(model[key])].append(name)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


def _cause(error: str) -> str:
    text = re.sub(r"\[input shapes.*", "", error)
    text = re.sub(r"^TraceError: .*? raised ", "", text)
    text = re.sub(r" in its forward: ", ": ", text)
    return re.sub(r"\d+", "#", text).strip()[:160]
