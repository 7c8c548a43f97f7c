"""Styles as a job names them and as a plan freezes them: references, digests, keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from typing import Annotated, Any, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from tasks.encoders.clip_models import find_model
from tasks.labelled.place import MARK, parse_place, unchanged_rows
from tasks.labelled.rows import ROWS
from tasks.methods.settings import MethodSettings
from tasks.records import ImageError, RequestError
from tasks.regions.settings import RegionSettings
from tasks.samples.photographs import neutral_digest
from tasks.storage import open_filesystem, storage_errors
from tasks.weights.references import digest

MAX_NAME = 200
ROW_FORM = f"a row is written FILE.parquet{MARK}12, counted from 0, and &image=COLUMN behind it where there are several"


class GridCell(BaseModel):
    """One cell of a grid laid over each content, counted from 0 at the top left."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(1, ge=1, le=64)
    columns: int = Field(1, ge=1, le=64)
    row: int = Field(0, ge=0)
    column: int = Field(0, ge=0)
    feather: float = Field(0.05, ge=0, le=1, description="Width of the soft seam, as a share of the content's side.")

    @model_validator(mode="after")
    def _lies_in_the_grid(self) -> Self:
        if self.row >= self.rows or self.column >= self.columns:
            raise ValueError(f"row {self.row}, column {self.column} is outside a grid of {self.rows} x {self.columns}")
        return self


def _kind_of_mask(value: object) -> str:
    return "one cell" if isinstance(value, dict | GridCell) else "one mask"


# Names of the members of the union below; neither is a key of a job.
MASKS = ("one mask", "one cell")
Mask = Annotated[
    Annotated[str, Tag("one mask")] | Annotated[GridCell, Tag("one cell")],
    Discriminator(_kind_of_mask),
]


class ReferenceSettings(BaseModel):
    """One picture or one text that a style is made of, everywhere in a content or where its mask is white."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str | None = Field(
        None, description="Path or URI of a picture; `FILE.parquet#row=12` is the picture of a row, counted from 0."
    )
    text: str | None = Field(None, min_length=1, description="Words for the style.")
    weight: float = Field(1.0, gt=0, allow_inf_nan=False, description="Share of this reference in the mix.")
    mask: Mask | None = Field(
        None, description="Where it counts: a grey picture stretched over each content (white: here), or a grid's cell."
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.image is None) == (self.text is None):
            raise ValueError("a reference is either an `image` or a `text`")
        return self

    def resolve_paths(self, resolve: Callable[[str], str]) -> Self:
        """The same reference with its paths made absolute."""
        places = {name: getattr(self, name) for name in ("image", "mask")}
        return self.model_copy(update={k: resolve(place) for k, place in places.items() if isinstance(place, str)})


class StyleSettings(BaseModel):
    """A style as a job names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=MAX_NAME, description="Unique in the dataset; a column of each record.")
    references: tuple[ReferenceSettings, ...] = Field(min_length=1, description="Pictures, texts, or both.")
    method: MethodSettings | None = Field(None, description="Overrides the job's method for this style.")
    regions: RegionSettings | None = Field(
        None, description="Where in each content each reference counts, in turn; None: everywhere, by weight."
    )

    @model_validator(mode="after")
    def _regions_fit_the_references(self) -> Self:
        if self.regions is not None:
            self.regions.check_references(len(self.references))
            if any(reference.mask for reference in self.references):
                raise ValueError("a style has `regions`, or references with a `mask` each, not both")
        return self

    def resolve_paths(self, resolve: Callable[[str], str]) -> StyleSettings:
        """The same style with its paths made absolute."""
        references = tuple(reference.resolve_paths(resolve) for reference in self.references)
        method = self.method.resolve_paths(resolve) if self.method else None
        regions = self.regions.resolve_paths(resolve) if self.regions else None
        return self.model_copy(update={"references": references, "method": method, "regions": regions})


class PlannedReference(ReferenceSettings):
    """A reference with the digests of its picture and mask; weights of a style sum to 1 (to 12 digits)."""

    sha256: str | None = None
    mask_sha256: str | None = None

    def identity(self) -> dict[str, Any]:
        """What the reference is, wherever its picture lies; where it counts is not part of it."""
        what = {"sha256": self.sha256} if self.image else {"text": self.text}
        return {"weight": self.weight, **what}

    def placed_identity(self) -> dict[str, Any]:
        """What the reference is and where in a content it counts."""
        mask = self.mask.model_dump() if isinstance(self.mask, GridCell) else self.mask_sha256
        return self.identity() | ({"mask": mask} if mask else {})

    def pictures(self) -> dict[str, str]:
        """Paths of its pictures, with their digests: its own, its mask."""
        pairs = ((self.image, self.sha256), (self.mask, self.mask_sha256))
        return {path: digest for path, digest in pairs if isinstance(path, str) and digest is not None}


class PlannedStyle(BaseModel):
    """A style with everything that decides its pixels, frozen in a plan.

    `version` is that of the method's code: a plan that is finished by other code would not tell the truth.
    `texts_digest` is of what makes pictures of texts, where the style has any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    references: tuple[PlannedReference, ...]
    method: MethodSettings
    version: str
    weights_digest: str
    texts_digest: str | None = None
    regions: RegionSettings | None = None
    digest: str
    representation: str

    @property
    def is_composite(self) -> bool:
        """Whether its references have regions of their own in each content."""
        return is_composite(self)

    def pictures(self) -> dict[str, str]:
        """Paths of its references' pictures and masks, with their digests."""
        return {path: digest for reference in self.references for path, digest in reference.pictures().items()}

    @property
    def wave(self) -> str:
        """Styles of one wave share the loaded networks and the encoded contents."""
        return _digest([self.method.name, self.method.encode_settings(), self.weights_digest])


def plan_style(style: StyleSettings, default: MethodSettings, corpus: str | None = None) -> PlannedStyle:
    """Freeze a style: read its pictures, digest its references, settings and weights.

    The style digest covers all that changes pixels; the representation key only what `represent` reads. A folder of
    masks is what it is by its place beside the `corpus`.
    Raises RequestError where a picture or the weights cannot be read.
    """
    texts = [reference.text for reference in style.references if reference.text is not None]
    method = (style.method or default).for_texts(texts)
    total = sum(reference.weight for reference in style.references)
    references = tuple(_plan_reference(reference, total, style.name) for reference in style.references)
    weights = _weights_digest(method)
    texts_digest = _texts_digest(method) if texts else None
    what: dict[str, Any] = {
        "method": method.name,
        "version": method.version,
        "weights": weights,
    } | ({"texts": texts_digest} if texts_digest else {})
    # Wherever references count, what is computed from them is the same, once it keeps them apart.
    represented = what | {"references": [reference.identity() for reference in references]}
    represented |= {"composite": True} if is_composite(style) else {}
    placed = what | {"references": [reference.placed_identity() for reference in references]}
    placed |= {"regions": style.regions.identity(corpus)} if style.regions else {}
    return PlannedStyle(
        name=style.name,
        references=references,
        method=method,
        version=method.version,
        weights_digest=weights,
        texts_digest=texts_digest,
        regions=style.regions,
        digest=_digest({**placed, "settings": method.pixel_settings()}),
        representation=_digest({**represented, "settings": method.represent_settings()}),
    )


def is_composite(style: StyleSettings | PlannedStyle) -> bool:
    """Whether a style's references have regions of their own in each content."""
    return style.regions is not None or any(reference.mask for reference in style.references)


def check_unchanged(styles: Collection[PlannedStyle]) -> None:
    """Raise RequestError where a planned style is no more what it was: by its method's code, weights or pictures.

    To be asked before a plan is gone on with, whose records would name digests that are not theirs. A picture that is
    gone is no change: its representation may be stored, and if not, its absence will tell. A mask must be there.
    """
    unchanged = unchanged_rows({path for style in styles for path in style.pictures()})
    for style in styles:
        change = _find_change(style, unchanged)
        if change is not None:
            raise RequestError(
                f"Style {style.name!r} was planned with {change}, which has changed since: put it back; an "
                "open plan can be given up, too (`atelier abandon`)."
            )


def _find_change(style: PlannedStyle, unchanged_rows: Collection[str]) -> str | None:
    if style.method.version != style.version:
        return f"code of {style.method.name} (version {style.version})"
    if _weights_digest(style.method) != style.weights_digest:
        return "a weights file"
    if style.texts_digest and _texts_digest(style.method) != style.texts_digest:
        return "the CLIP that reads its texts" if style.method.text_settings() else "a weights file for its texts"
    masks = {reference.mask for reference in style.references}
    for path, sha256 in style.pictures().items():
        with nullcontext() if path in masks else suppress(RequestError):
            if path not in unchanged_rows and hashlib.sha256(read_reference(path, style.name)).hexdigest() != sha256:
                return f"the picture {path}"
    return None


def pair_seed(job_seed: int, content_id: str, style_digest: str) -> int:
    """Seed of a pair, 63 bits: a function of what the pair is, never of an order or a shard number."""
    key = json.dumps([job_seed, content_id, style_digest]).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


def read_reference(uri: str, style: str) -> bytes:
    """Bytes of a style picture, a file or a row of a Parquet file. Raises RequestError naming the style."""
    place = parse_place(uri)
    filesystem, path = open_filesystem(place.file if place else uri)
    try:
        return ROWS.read(place) if place else bytes(filesystem.cat_file(path))
    except ImageError as error:
        raise RequestError(f"Style {style!r}: {uri} is no usable picture ({error}): name another.") from error
    except pa.ArrowInvalid as error:
        file, _, row = uri.partition("&")[0].rpartition(MARK)
        raise RequestError(
            f"Style {style!r}: {file} has no row {row}: it is no Parquet file, or a damaged one."
        ) from error
    except storage_errors(filesystem) as error:
        todo = "check its path" if place or MARK not in uri else ROW_FORM
        raise RequestError(f"Style {style!r}: the picture {uri} cannot be read; {todo}.") from error


def _plan_reference(reference: ReferenceSettings, total: float, style: str) -> PlannedReference:
    # Rounded, so that weights of 1 and 2 make the same style as weights of 0.1 and 0.2.
    share = max(1e-12, round(reference.weight / total, 12))
    digests = {
        name: _digest_picture(path, style)
        for name, path in (("sha256", reference.image), ("mask_sha256", reference.mask))
        if isinstance(path, str)
    }
    return PlannedReference(**{**dict(reference), "weight": share}, **digests)


def _digest_picture(uri: str, style: str) -> str:
    known = ROWS.checked(uri)
    if known is not None and known.sha256 is not None:
        return known.sha256
    return hashlib.sha256(read_reference(uri, style)).hexdigest()


def _weights_digest(method: MethodSettings) -> str:
    """One file's own SHA-256, or a digest over several."""
    digests = method.weight_digests()
    return next(iter(digests.values())) if len(digests) == 1 else _digest(digests)


def _texts_digest(method: MethodSettings) -> str | None:
    """Of what makes something of texts: the model's own digest in the place of its name; and of what stands ready."""
    settings, ready = method.text_settings(), {text: digest(r) for text, r in method.text_weights().items()}
    what: dict[str, Any] = {"ready": ready} if ready else {}
    if settings is not None:
        clip = {"clip": find_model(settings.clip).digest(), "neutral": neutral_digest()}
        what |= {"settings": settings.model_dump(mode="json", exclude={"clip"}), **clip}
    return _digest(what) if what else None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
