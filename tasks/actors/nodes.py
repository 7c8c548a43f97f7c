"""The nodes of the cluster as the driver sees them: alive, lost, or being drained."""

from __future__ import annotations

import ray
from ray._private.state import state  # Ray's own libraries ask here; it has no public name yet


def is_alive(node_id: str) -> bool:
    """Whether a node is still there."""
    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())


def draining_nodes() -> set[str]:
    """Ids of nodes that will go and take no new actor; none where every node goes, for there is nowhere to move."""
    leaving = set(state.get_draining_nodes())
    staying = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in leaving] if leaving else []
    return leaving if staying else set()
