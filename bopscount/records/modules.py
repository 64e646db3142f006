"""The model's modules as a flat tree: paths, parents, heights, leaves."""

from __future__ import annotations

from dataclasses import dataclass


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
