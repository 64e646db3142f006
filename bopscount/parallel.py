"""Parallel counting of many models, on the workers of an executor."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from importlib import import_module
from itertools import islice
from queue import SimpleQueue
from typing import Any

from bopscount.bits.registered_classes import Carried, registered_rules, rules_of_caller
from bopscount.errors import BopscountError, InputError
from bopscount.progress import progress_bar

CALLS = ("scan", "trace")
_TASKS = 64
"""Default number of tasks per call, if that makes none larger than `_CHUNK` models."""
_CHUNK = 32
_IN_FLIGHT = 1024
"""Maximum number of pending tasks; further models are drawn as tasks finish."""


def map(
    models: Iterable[Any],
    input_size: Any = None,
    *,
    executor: Executor | None = None,
    call: str = "scan",
    chunk_size: int | None = None,
    **options: Any,
) -> list[Any]:
    """Scan or trace many models; return the results in the order of the models.

    Rules from `register_layer` apply in the workers too, except for callables that cannot be
    pickled: register those in the module that defines the class.

    Args:
        models: Modules, or callables that build one; a generator is drawn as tasks finish.
            A module is sent to another process with all its weights; a callable such as
            `functools.partial(Net, width=32)` is small, and the worker builds its model on the
            meta device.
        input_size: Shape of one sample; see `trace`.
        executor: Any `concurrent.futures.Executor`: a `ProcessPoolExecutor`, Dask's
            `client.get_executor()`, an `MPIPoolExecutor`. It is not shut down. None counts in
            this process; threads are no faster, because a process runs one trace at a time.
        call: "scan" for a `Totals` per model, "trace" for a `LayerTable`.
        chunk_size: Models per task; by default the number that gives 64 tasks, at most 32.
        options: Further arguments of `scan` or `trace`, such as `inputs=` or `rules=`.

    Returns:
        One result per model, or the exception that the model raised, without its traceback;
        a failing model does not stop the others.

    Raises:
        InputError: If an argument is invalid.

    Example: `map([partial(nn.Linear, 8, n) for n in (2, 3)], (8,))` returns two `Totals`, with
    16 and 24 macs.
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
    n_models = len(models) if isinstance(models, Sized) else None
    options["input_size"] = input_size
    answers: Answers
    if executor is None:
        answers = ((at, [_count(model, call, options)]) for at, model in enumerate(models))
    else:
        if chunk_size is None:
            chunk_size = _CHUNK if n_models is None else min(_CHUNK, -(-n_models // _TASKS) or 1)
        answers = _spread(executor, _chunks(models, chunk_size), call, options)
    results: dict[int, Any] = {}
    bar = progress_bar("counting models", n_models, " models")
    try:
        for start, found in answers:
            results.update(enumerate(found, start))
            bar.update(len(found))
    finally:
        bar.close()
    return [results[at] for at in range(len(results))]


Answers = Iterator[tuple[int, list[Any]]]
"""(Index of the first result, consecutive results)."""


def _chunks(models: Iterable[Any], size: int) -> Iterator[tuple[int, list[Any]]]:
    drawn, start = iter(models), 0
    while chunk := list(islice(drawn, size)):
        yield start, chunk
        start += len(chunk)


class _InMessage:
    """Chunk of models that is pickled into the message to another process.

    torch would move every tensor to shared memory with a file descriptor each, and a hundred
    modules have more tensors than a process may open files.
    """

    def __init__(self, chunk: list[Any]) -> None:
        self._chunk = chunk

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        return pickle.loads, (pickle.dumps(self._chunk),)


def _spread(
    executor: Executor,
    chunks: Iterator[tuple[int, list[Any]]],
    call: str,
    options: dict[str, Any],
) -> Answers:
    tasks: dict[Future[list[Any]], tuple[int, int]] = {}
    done: SimpleQueue[Future[list[Any]]] = SimpleQueue()
    rules = registered_rules(pickled=isinstance(executor, ProcessPoolExecutor))

    def next_done() -> tuple[int, list[Any]]:
        task = done.get()
        start, length = tasks.pop(task)
        try:
            return start, task.result()
        except Exception as error:  # the whole task failed: a worker died, or pickling did
            return start, [error] * length

    try:
        for start, chunk in chunks:
            sent = _InMessage(chunk) if isinstance(executor, ProcessPoolExecutor) else chunk
            try:
                task = executor.submit(_count_all, sent, call, options, rules)
            except BrokenExecutor as error:
                yield start, [error] * len(chunk)
                continue
            tasks[task] = start, len(chunk)
            task.add_done_callback(done.put)
            while len(tasks) >= _IN_FLIGHT or not done.empty():
                yield next_done()
        while tasks:
            yield next_done()
    finally:
        for task in tasks:
            task.cancel()


def _count_all(models: Any, call: str, options: dict[str, Any], rules: Carried) -> list[Any]:
    """Count the models of one task; runs in a worker."""
    with rules_of_caller(rules):
        found = [_count(model, call, options) for model in models]
    return [_able_to_travel(one) if isinstance(one, Exception) else one for one in found]


def _count(model: Any, call: str, options: dict[str, Any]) -> Any:
    function: Callable[..., Any] = getattr(import_module("bopscount.api"), call)
    try:
        return function(model, **options)
    except Exception as error:
        _let_go(error)
        return error


def _let_go(error: Exception) -> None:
    """Drop the tracebacks of an exception chain, whose frames would keep the model alive."""
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__


def _able_to_travel(error: Exception) -> Exception:
    """Return the error, or its message as a BopscountError if it cannot be unpickled.

    Unpickling errors would break the pool.
    """
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return BopscountError(f"{type(error).__name__}: {error}")
    return error
