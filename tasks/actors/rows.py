"""Rows of a shard: what is known of a pair, as the columns of a record or of a failure."""

from __future__ import annotations

from typing import Any

from tasks.actors.contents import ShardContent
from tasks.actors.loaded import ReadyStyle
from tasks.actors.orders import ShardOrder
from tasks.actors.render import Rendered
from tasks.images.decoding import Picture
from tasks.images.placement import place
from tasks.records import SCORES, ImageError, carried_name
from tasks.styles import pair_seed


def record_row(order: ShardOrder, rendered: Rendered, seconds: float, clip_model: str | None) -> dict[str, Any]:
    """A stylized pair, but for its picture. One made of a prompt has no source, and no size of one."""
    height, width = rendered.pixels_HWC.shape[:2]
    row = _pair_row(order, rendered.style, rendered.content) | {"width": width, "height": height, "seconds": seconds}
    source = rendered.content.outcome
    if isinstance(source, Picture):
        size = source.source_width, source.source_height
        row |= {"source_width": size[0], "source_height": size[1], "placement": place(*size, order.images).row()}
    if rendered.regions:
        row |= {"regions": [part.row() for part in rendered.regions], "mask_version": rendered.mask_version}
    if rendered.scores is not None:
        row |= {name: getattr(rendered.scores, name) for name in SCORES}
        row["clip_model"] = clip_model
    return row


def failure_row(
    order: ShardOrder, style: ReadyStyle, content: ShardContent, error: ImageError, stage: str, seconds: float
) -> dict[str, Any]:
    """A pair that could not be stylized, and why."""
    return _pair_row(order, style, content) | {
        "error_class": error.reason,
        "error_message": str(error),
        "error_stage": stage,
        "seconds": seconds,
    }


def _pair_row(order: ShardOrder, ready: ReadyStyle, content: ShardContent) -> dict[str, Any]:
    """What a record and a failure have in common."""
    entry, style = content.entry, ready.planned
    row = {
        "content_id": entry.content_id,
        "content_uri": entry.content_uri,
        "content_version": entry.content_version,
        "style": style.name,
        "style_digest": style.digest,
        "method": style.method.name,
        "method_version": style.method.version,
        "weights_digest": style.weights_digest,
        "representation": style.representation,
        **{carried_name(name): value for name, value in content.columns.items()},
        "strength": ready.strength,
        "seed": pair_seed(order.seed, entry.content_id, style.digest),
        "plan": order.plan,
        "shard": order.shard,
        "attempt": order.attempt,
    }
    return row | _draw_row(ready)


def _draw_row(ready: ReadyStyle) -> dict[str, Any]:
    """Which draw a pair is of, and the part of its bank; nothing where a style was named."""
    if ready.opened is not None:
        return {"draw": ready.planned.digest}
    return {} if ready.drawn is None else {"draw": ready.drawn.draw, "bank_part": ready.drawn.part}
