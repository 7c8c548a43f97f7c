"""Styles as a plan freezes them: references, digests, keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from tasks.draws.settings import PlannedDraw
from tasks.encoders.clip_models import find_model
from tasks.labelled.place import MARK, parse_place, unchanged_rows
from tasks.labelled.rows import ROWS
from tasks.methods.settings import MethodSettings
from tasks.records import ImageError, RequestError
from tasks.regions.settings import RegionSettings
from tasks.samples.photographs import neutral_digest
from tasks.storage import open_filesystem, storage_errors
from tasks.style_settings import GridCell, PathStep, ReferenceSettings, StepSettings, StyleSettings
from tasks.weights.references import digest

ROW_FORM = f"a row is written FILE.parquet{MARK}12, counted from 0, and &image=COLUMN behind it where there are several"


class PlannedReference(ReferenceSettings):
    """A reference with the digests of its picture and mask; weights of a style sum to 1 (to 12 digits).

    `part` says which style it came from, in a step of a path between two.
    """

    sha256: str | None = None
    mask_sha256: str | None = None
    part: int = 0

    def identity(self) -> dict[str, Any]:
        """What the reference is, wherever its picture lies; where it counts is not part of it."""
        what: dict[str, Any] = {"sha256": self.sha256} if self.image else {"text": self.text}
        return {"weight": self.weight, **what} | ({"part": self.part} if self.part else {})

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
    `texts_digest` is of what makes pictures of texts, where the style has any. `inversions` are the keys of what the
    method's `invert` makes of those of the style's parts that it inverts. With a `draw` it stands for one style of a
    bank, another for each content: it has no references, and its representation is the bank's key.
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
    inversions: tuple[str, ...] = ()
    step: PathStep | None = None
    draw: PlannedDraw | None = None

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
    references = tuple(_plan_reference(reference, total, style, n) for n, reference in enumerate(style.references))
    frozen = freeze_style(
        style.name, references, method, weights_digest(method), _texts_digest(method) if texts else None
    )
    if is_composite(style):
        return _compose(frozen, style.regions, corpus)
    return frozen.model_copy(update={"step": style.step if isinstance(style, StepSettings) else None})


def freeze_style(
    name: str,
    references: Sequence[PlannedReference],
    method: MethodSettings,
    weights: str,
    texts_digest: str | None = None,
) -> PlannedStyle:
    """A style whose references are digested, with the digest of its method's weights; reads nothing."""
    what: dict[str, Any] = {
        "method": method.name,
        "version": method.version,
        "weights": weights,
        "references": [reference.identity() for reference in references],
    } | ({"texts": texts_digest} if texts_digest else {})
    return PlannedStyle(
        name=name,
        references=tuple(references),
        method=method,
        version=method.version,
        weights_digest=weights,
        texts_digest=texts_digest,
        digest=_digest({**what, "settings": method.pixel_settings()}),
        representation=_digest({**what, "settings": method.represent_settings()}),
        inversions=_inversions(method, references, composite=False),
    )


def _compose(style: PlannedStyle, regions: RegionSettings | None, corpus: str | None) -> PlannedStyle:
    """The same style with its references in regions of their own."""
    what: dict[str, Any] = {
        "method": style.method.name,
        "version": style.version,
        "weights": style.weights_digest,
    } | ({"texts": style.texts_digest} if style.texts_digest else {})
    # Wherever references count, what is computed from them is the same, once it keeps them apart.
    represented = what | {"references": [reference.identity() for reference in style.references], "composite": True}
    placed = what | {"references": [reference.placed_identity() for reference in style.references]}
    placed |= {"regions": regions.identity(corpus)} if regions else {}
    update = {
        "regions": regions,
        "digest": _digest({**placed, "settings": style.method.pixel_settings()}),
        "representation": _digest({**represented, "settings": style.method.represent_settings()}),
        "inversions": _inversions(style.method, style.references, composite=True),
    }
    return style.model_copy(update=update)


def plan_draw(name: str, method: MethodSettings, draw: PlannedDraw) -> PlannedStyle:
    """A draw in the place of a style: its digest covers the bank and the rules, not where the pictures are."""
    weights = weights_digest(method)
    rules = draw.model_dump(mode="json", exclude={"source", "styles"})
    what = {"method": method.name, "version": method.version, "weights": weights, "draw": rules}
    return PlannedStyle(
        name=f"{name}-{draw.number + 1}",
        references=(),
        method=method,
        version=method.version,
        weights_digest=weights,
        digest=_digest({**what, "settings": method.pixel_settings()}),
        representation=draw.bank,
        draw=draw,
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
    if weights_digest(style.method) != style.weights_digest:
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


def _plan_reference(reference: ReferenceSettings, total: float, style: StyleSettings, number: int) -> PlannedReference:
    digests = {
        name: _digest_picture(path, style.name)
        for name, path in (("sha256", reference.image), ("mask_sha256", reference.mask))
        if isinstance(path, str)
    }
    part = int(isinstance(style, StepSettings) and number >= style.step.references)
    return PlannedReference(**{**dict(reference), "weight": _share(reference.weight, total), "part": part}, **digests)


def _share(weight: float, total: float) -> float:
    """Rounded, so that weights of 1 and 2 make the same style as weights of 0.1 and 0.2."""
    return max(1e-12, round(weight / total, 12))


def _inversions(method: MethodSettings, references: Sequence[PlannedReference], composite: bool) -> tuple[str, ...]:
    """A key for each part of a style (as `Style.inverted` has them), where its method inverts; else none."""
    if not method.inversions:
        return ()
    parts: dict[int, list[PlannedReference]] = {}
    for number, reference in enumerate(references):
        if method.inverts(reference.text):
            alone = composite or method.inverts_apart
            parts.setdefault(number if alone else reference.part, []).append(reference)
    return tuple(_digest(method.inversion_settings() | {"references": _alone(part)}) for part in parts.values())


def _alone(part: Sequence[PlannedReference]) -> list[dict[str, Any]]:
    """Identities of references that are a style for themselves: the same in whatever style they are a part of."""
    total = sum(reference.weight for reference in part)
    # To ten digits: a share of a share, in a step of a path, is off in the twelfth.
    return [one.identity() | {"part": 0, "weight": round(one.weight / total, 10)} for one in part]


def _digest_picture(uri: str, style: str) -> str:
    known = ROWS.checked(uri)
    if known is not None and known.sha256 is not None:
        return known.sha256
    return hashlib.sha256(read_reference(uri, style)).hexdigest()


def weights_digest(method: MethodSettings) -> str:
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
