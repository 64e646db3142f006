"""Writes the README's section of counts: `python tests/corpus/readme_section.py [RESULTS]`.

RESULTS is what `pytest -m corpus` wrote, by default results.json beside this file. Needs
neither torch nor the libraries.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
START, END = "<!-- corpus -->", "<!-- /corpus -->"
LIBRARIES = ("torchvision", "timm", "transformers")
COLUMNS = (
    ("exact", "exact"),
    ("exact_variant", "exact, as a variant"),
    ("differing", "differing"),
    ("failed", "failed"),
    ("only_ours", "only bopscount"),
    ("neither", "neither"),
    ("not_built", "not built"),
)

EXPLAINED = {
    "`bridgetower`": " (12 x 2 x 325 x 325 x 768 MACs of attention are in ours alone: run on the "
    "CPU, a fused kernel hides them from `FlopCounterMode`)"
}
"""Who is right where the counts differ, and why."""


def section(results: dict[str, Any]) -> str:
    found = [name for name in LIBRARIES if name in results]
    missing = [name for name in found if not results[name]["complete"]]
    if missing:
        raise SystemExit(f"these were not run in full: {', '.join(missing)}")
    torch = results[found[0]]["torch"].split("+")[0]
    lines = [
        f"With torch {torch}, 2 x MACs of every model beside what `FlopCounterMode` counts for the",
        "same call on the meta device:",
        "",
        "| library | models | " + " | ".join(title for _, title in COLUMNS) + " |",
        "| --- " * (len(COLUMNS) + 2) + "|",
    ]
    for name in found:
        library = results[name]
        cells = [str(library["counts"][kind]) for kind, _ in COLUMNS]
        lines.append(
            f"| {name} {library['version'].split('+')[0]} | {len(library['models'])} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join([*lines, "", *_explanations({n: results[n]["models"] for n in found})])


def _explanations(libraries: dict[str, dict[str, Any]]) -> list[str]:
    everything = [(name, model) for models in libraries.values() for name, model in models.items()]

    def names(kind: str) -> list[str]:
        return [f"`{name}`" for name, model in everything if model["outcome"] == kind]

    def number(kind: str, key: str, *parts: str) -> int:
        return sum(
            model["outcome"].startswith(kind) and any(part in model[key] for part in parts)
            for _, model in everything
        )

    ran = sum(bool(model["ran"]) for _, model in everything)
    batched = number("exact", "reference_how", "experts")
    eager = number("exact", "reference_how", "eager attention")
    on_cpu = number("exact", "reference_how", "on the CPU")
    short = number("exact", "reference_how", " layers")
    unseen = sum(bool(model.get("unseen_macs")) for _, model in everything)
    text_only = sum(bool(model.get("text_only")) for _, model in everything)
    lines = [
        "- *Exact* is equality of two integers. `FlopCounterMode` needed help for some: it has no",
        f"  formula for the grouped matrix products of a mixture of experts ({batched} models were",
        "  given to it with batched ones), and values that are asked for, or sizes on the CPU,",
        f"  stop it on meta ({eager - on_cpu} were given to it with eager attention, {on_cpu} were",
        f"  run on the CPU under it, {short} of them with two layers of each kind).",
        f"  MACs that it has no formula for (`cdist`; {unseen} models) are left out of ours.",
        "- Default configurations that build no model, or none that runs, are completed.",
        f"- {text_only} models that take images or sound beside text are counted on text alone.",
        "- *As a variant*: we too needed that help.",
        f"- {ran} models look at the values of what they compute (detection, routing): they were",
        "  run, `report.ran_model` is true.",
    ]
    lines += _named("Differing", [name + EXPLAINED.get(name, "") for name in names("differing")])
    lines += _named("Failed", names("failed"))
    lines += _named("As a variant", names("exact_variant"))
    for kind, title in (
        ("only_ours", "Only bopscount, so nothing confirms it"),
        ("neither", "Neither"),
        ("not_built", "Not built"),
    ):
        reasons: dict[str, list[str]] = {}
        for name, model in everything:
            if model["outcome"] == kind:
                reasons.setdefault(_reason(model), []).append(f"`{name}`")
        for reason, group in sorted(reasons.items()):
            lines += _named(f"{title}, {reason}", group)
    return lines


def _reason(model: dict[str, Any]) -> str:
    """Why a model could not be counted, or not by FlopCounterMode, in a few words."""
    error = model["our_error"] or model["reference_error"]
    known = (
        ("ImportError", "for want of a library that it needs"),
        ("Could not find", "as the library lacks its class"),
        ("no inputs known", "having no forward, or one that takes a session"),
        ("nonzero", "as it looks at values"),
        ("item()", "as it looks at values"),
        ("Cannot copy out of meta", "as it looks at values"),
        ("expected device", "as sizes on the CPU meet meta tensors"),
    )
    for part, reason in known:
        if part in error:
            return reason
    return "as it raises with all that the corpus knows to give it"


def _named(title: str, names: list[str]) -> list[str]:
    if not names:
        return []
    lines, line = [], f"- {title}:"
    for i, name in enumerate(names):
        word = name + ("," if i + 1 < len(names) else ".")
        if len(line) + 1 + len(word) > 100:
            lines.append(line)
            line = " "
        line += " " + word
    return [*lines, line]


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "results.json"
    text = section(json.loads(path.read_text()))
    readme = README.read_text()
    pattern = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(readme):
        raise SystemExit(f"{README} has no {START} ... {END}")
    README.write_text(pattern.sub(lambda _: f"{START}\n{text}\n{END}", readme))


if __name__ == "__main__":
    main()
