"""The model's modules as a flat tree: paths, parents, heights, leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(slots=True)
class Node:
    """One module, under its first path.

    Attributes:
        path: Dotted module path, "" for the model.
        class_name: Name of the module's class.
        parent: Index of the parent node, -1 for the model.
        height: 1 for a leaf, else 1 + that of the tallest child.
        is_leaf: Whether the module is a row of its own.
        calls: How often its forward ran.
    """

    path: str
    class_name: str
    parent: int
    height: int
    is_leaf: bool
    calls: int = 0


def walk(
    model: nn.Module, is_leaf: Callable[[nn.Module], bool]
) -> tuple[list[Node], list[nn.Module]]:
    """Nodes and their modules in module order (parents before children).

    A module reached by several paths is listed once, under the first; what is
    inside a leaf is not listed. Iterative: depth is bounded by memory only.
    """
    nodes: list[Node] = []
    modules: list[nn.Module] = []
    index_of: dict[int, int] = {}
    edges: list[tuple[int, int]] = []
    stack: list[tuple[str, nn.Module, int]] = [("", model, -1)]
    while stack:
        path, module, parent = stack.pop()
        known = index_of.get(id(module))
        if known is not None:
            edges.append((parent, known))
            continue
        index = index_of[id(module)] = len(nodes)
        leaf = is_leaf(module)
        nodes.append(Node(path, type(module).__name__, parent, 1, leaf))
        modules.append(module)
        if not leaf:
            prefix = path + "." if path else ""
            stack.extend(
                (prefix + name, child, index)
                for name, child in reversed(module._modules.items())
                if child is not None
            )
    _set_heights(nodes, edges)
    return nodes, modules


def _set_heights(nodes: list[Node], shared: list[tuple[int, int]]) -> None:
    """Heights bottom up; a shared child raises all its parents, a cycle none."""
    extra: dict[int, list[int]] = {}
    for parent, child in shared:
        if child < parent:
            # An earlier subtree, complete only if it is not an ancestor.
            extra.setdefault(parent, []).append(child)
    for index in range(len(nodes) - 1, -1, -1):
        node = nodes[index]
        if node.parent >= 0:
            above = nodes[node.parent]
            above.height = max(above.height, node.height + 1)
    if not extra:
        return
    for index in range(len(nodes) - 1, -1, -1):
        for child in extra.get(index, ()):
            if not _is_ancestor(nodes, child, index):
                _raise_height(nodes, index, nodes[child].height + 1)


def _is_ancestor(nodes: list[Node], candidate: int, index: int) -> bool:
    while index >= 0:
        if index == candidate:
            return True
        index = nodes[index].parent
    return False


def _raise_height(nodes: list[Node], index: int, height: int) -> None:
    while index >= 0 and nodes[index].height < height:
        nodes[index].height = height
        index, height = nodes[index].parent, height + 1


def shown_nodes(nodes: list[Node], granularity: int) -> list[int]:
    """For each node the index of the node whose row it is part of, -1 if none.

    Granularity g shows the nodes of height g, and every lower node with a sibling
    of height g or more; that is, the topmost nodes of height g or less.
    """
    shown = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        above = shown[node.parent] if node.parent >= 0 else -1
        if above >= 0:
            shown[index] = above
        elif node.height <= granularity:
            shown[index] = index
    return shown
