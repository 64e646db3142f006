"""Many models, on as many processes or machines as an executor has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, as_completed
from importlib import import_module
from typing import Any

from bopscount.errors import InputError
from bopscount.progress import progress_bar

CALLS = ("scan", "trace")
_CHUNKS = 64
"""Tasks that a call is cut into by default: enough for any pool to stay busy to the end."""


def map(
    models: Iterable[Any],
    input_size: Any = None,
    *,
    executor: Executor | None = None,
    call: str = "scan",
    chunk_size: int | None = None,
    **options: Any,
) -> list[Any]:
    """Scans or traces many models; the results stand in the order of the models.

    Args:
        models: Modules, or callables that build one. A module travels to another process with
            all its weights; a callable such as `functools.partial(Net, width=32)` travels
            light, and its model is built where it is counted, on the meta device.
        input_size: Shape of one sample; see `trace`.
        executor: Any `concurrent.futures.Executor`: a `ProcessPoolExecutor`, Dask's
            `client.get_executor()`, an `MPIPoolExecutor`. It is not shut down. None counts in
            this process; threads are no faster than that, for traces of a process take turns.
        call: "scan" for a `Totals` each, "trace" for a `LayerTable`.
        chunk_size: Models to a task; by default so many that there are 64 tasks.
        options: Further arguments of `scan` or `trace`, such as `inputs=` or `rules=`.

    Returns:
        For each model its result, or the exception that it raised: the others go on.

    Raises:
        InputError: For an argument that cannot be used.

    Example: `map([partial(nn.Linear, 8, n) for n in (2, 3)], (8,))` are two `Totals`, of 16
    and 24 macs.
    """
    if call not in CALLS:
        raise InputError(f"call must be 'scan' or 'trace', got {call!r}")
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise InputError(
            "executor must be a concurrent.futures.Executor, such as a ProcessPoolExecutor, "
            f"got {type(executor).__name__}"
        )
    if chunk_size is not None and (type(chunk_size) is not int or chunk_size < 1):
        raise InputError(f"chunk_size must be a whole number of at least 1, got {chunk_size!r}")
    if not isinstance(models, Iterable) or hasattr(models, "named_modules"):
        raise InputError(
            f"models must be several models or callables, got one {type(models).__name__}"
        )
    candidates = list(models)
    options["input_size"] = input_size
    size = chunk_size or -(-len(candidates) // _CHUNKS) or 1
    chunks = {start: candidates[start : start + size] for start in range(0, len(candidates), size)}
    results: list[Any] = [None] * len(candidates)
    bar = progress_bar("counting models", len(candidates), " models")
    try:
        if executor is None:
            answers = _here(chunks, call, options)
        else:
            answers = _spread(executor, chunks, call, options)
        for start, found in answers:
            results[start : start + len(found)] = found
            bar.update(len(found))
    finally:
        bar.close()
    return results


Answers = Iterator[tuple[int, list[Any]]]


def _here(chunks: dict[int, list[Any]], call: str, options: dict[str, Any]) -> Answers:
    for start, chunk in chunks.items():
        for offset, model in enumerate(chunk):
            yield start + offset, [_count(model, call, options)]


def _spread(
    executor: Executor, chunks: dict[int, list[Any]], call: str, options: dict[str, Any]
) -> Answers:
    tasks: dict[Future[list[Any]], int] = {}
    try:
        for start, chunk in chunks.items():
            tasks[executor.submit(_count_all, chunk, call, options)] = start
        for task in as_completed(tasks):
            start = tasks[task]
            try:
                yield start, task.result()
            except Exception as error:  # the task as a whole: a worker died, or pickling failed
                yield start, [error] * len(chunks[start])
    finally:
        for task in tasks:
            task.cancel()


def _count_all(models: list[Any], call: str, options: dict[str, Any]) -> list[Any]:
    """What a worker does."""
    return [_count(model, call, options) for model in models]


def _count(model: Any, call: str, options: dict[str, Any]) -> Any:
    function: Callable[..., Any] = getattr(import_module("bopscount.api"), call)
    try:
        return function(model, **options)
    except Exception as error:
        return error
