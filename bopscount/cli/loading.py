"""Loading the model that the command line names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

from torch import nn

from bopscount.errors import InputError
from bopscount.networks import NETWORKS

_FILE_MODULE = "bopscount_user_file"


def load_by_name(name: str) -> nn.Module:
    """Return the built-in network `name`, or the module made by "package.module:callable".

    Raises:
        InputError: If `name` cannot be found, or does not make a module.
    """
    if name in NETWORKS:
        return NETWORKS[name].build()
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise InputError(
            f"model must be a built-in network ({', '.join(sorted(NETWORKS))}) or "
            f"package.module:callable, got {name!r}"
        )
    _prepend_to_path(Path.cwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(f"module {module_name!r} not found: {error}") from error
    except Exception as error:
        raise InputError(f"importing {module_name!r} raised {_say(error)}") from error
    return _build(module, attribute, module_name)


def load_from_file(file: str, name: str) -> nn.Module:
    """Return the module made by `name` in the Python file.

    Raises:
        InputError: If the file or `name` cannot be found, or `name` does not make a module.
    """
    path = Path(file)
    if not path.is_file():
        raise InputError(f"--file must be a Python file, got {file!r}, which is none")
    _prepend_to_path(path.resolve().parent)
    spec = importlib.util.spec_from_file_location(_FILE_MODULE, path)
    if spec is None or spec.loader is None:
        raise InputError(f"--file must be a Python file (.py), got {file!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_FILE_MODULE] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"running {file} raised {_say(error)}") from error
    return _build(module, name, file)


def _prepend_to_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _say(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _build(module: Any, name: str, where: str) -> nn.Module:
    target: Any = module
    for part in name.split("."):
        if not hasattr(target, part):
            raise InputError(f"{where} has no {name!r}; it has {_candidates(module)}")
        target = getattr(target, part)
    if isinstance(target, nn.Module):
        return target
    if not callable(target):
        raise InputError(f"{name} in {where} must make a module, got {type(target).__name__}")
    if isinstance(target, type) and not issubclass(target, nn.Module):
        raise InputError(
            f"{name} in {where} is no torch.nn.Module but a {target.__mro__[1].__name__}"
        )
    needed = _needed_arguments(target)
    if needed:
        raise InputError(
            f"{name} in {where} needs arguments ({', '.join(needed)}); name a function or "
            "class that is called without any"
        )
    try:
        model = target()
    except Exception as error:
        raise InputError(f"{name}() in {where} raised {_say(error)}") from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{name}() in {where} must return a module, got {type(model).__name__}")
    return model


def _needed_arguments(target: Any) -> list[str]:
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def _candidates(module: Any) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
    ]
    return ", ".join(names[:10]) or "no module classes of its own"
