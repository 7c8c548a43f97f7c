"""A pool for a run that may find nothing to do: the cluster is joined and actors start when first needed."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import cached_property
from typing import Self

from tasks.actors.cluster import Share, connected
from tasks.actors.growth import find_share
from tasks.actors.orders import ActorSettings
from tasks.actors.pool import Check, Pool, open_pool
from tasks.actors.settings import ResourceSettings


class PoolOnDemand:
    """Joins the cluster that RAY_ADDRESS names, or starts a local Ray, at the first use; ends with the block.

    `check` is called about once a second while actors are at work; what it raises ends that work.
    """

    def __init__(
        self, resources: ResourceSettings, output: str, store: str, clip: str, check: Check = lambda: None
    ) -> None:
        self.resources, self.output, self.store, self.clip = resources, output, store, clip
        self._check = check
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def share(self) -> Share:
        """What each actor will take. Raises RequestError where the cluster has no room."""
        self._stack.enter_context(connected(os.environ.get("RAY_ADDRESS")))
        return find_share(self.resources)

    @cached_property
    def pool(self) -> Pool:
        """The actors, started and ready."""
        share = self.share
        settings = ActorSettings(
            output=self.output,
            store=self.store,
            clip=self.clip,
            device=share.device,
            threads=share.threads,
            batch_pixels=share.batch_pixels,
            gpu_share=share.gpus,
            actors=share.actors,
            stalled_after=self.resources.stalled_after,
        )
        return self._stack.enter_context(open_pool(settings, share, self._check))
