"""A dataset as the actors leave one, with pictures that are painted here in the place of stylized ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
from PIL import Image, ImageOps

from tasks.corpus.base import Piece
from tasks.dataset.footer import ShardFooter
from tasks.dataset.ledger import Ledger
from tasks.dataset.sink import ShardSpool, commit, new_token, picture_path
from tasks.shards import by_shard
from tasks.storage import Folder
from tasks.styles import PlannedReference, PlannedStyle
from tests.tasks.actors.making import encoded
from tests.tasks.dataset.making import plan_something, planned_style, wanted

TEXTS = {"ink": "a black drawing in ink", "gold": "gold leaf on wood"}
PAINTERS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "ink": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "gold": lambda image: ImageOps.colorize(ImageOps.grayscale(image), "black", "gold"),
    "plain": lambda image: image,
}


def style_of(name: str) -> PlannedStyle:
    """`plain` is a style of a picture, which has no text."""
    style = planned_style(name, TEXTS.get(name, name))
    if name in TEXTS:
        return style
    return style.model_copy(update={"references": (PlannedReference(image="art.jpg", sha256="0"),)})


def write_dataset(root: Path, photos: Path, names: tuple[str, ...] = ("ink", "gold", "plain")) -> Folder:
    """Every photograph in every style, four photographs to a shard."""
    folder = Folder(str(root))
    plan = plan_something(folder, wanted(photos, [style_of(name) for name in names]), images=4)
    for shard, planned in by_shard(Ledger(folder).pieces(plan)).items():
        footer = ShardFooter(plan=plan.seq, shard=shard, plan_digest=plan.digest, token=new_token())
        with ShardSpool(pa.schema([])) as spool:
            for number, style in enumerate(plan.styles):
                for place, one in enumerate(planned):
                    row = record(one.piece, style) | {"plan": plan.seq, "shard": shard}
                    picture = PAINTERS[style.name](Image.open(photos / one.piece.path).convert("RGB"))
                    name = picture_path(one.piece.path, style.name, ".png")
                    spool.add_record((number, place), row, encoded(picture, "png"), name)
            commit(folder, spool, footer)
    return folder


def record(piece: Piece, style: PlannedStyle) -> dict[str, object]:
    """A record without its picture and its place."""
    return {
        "content_id": piece.path,
        "content_uri": piece.path,
        "content_version": piece.version,
        "style": style.name,
        "style_digest": style.digest,
        "method": "adain",
        "method_version": style.version,
        "weights_digest": style.weights_digest,
        "representation": style.representation,
        "seed": 1,
        "attempt": 0,
        "seconds": 0.1,
    }
