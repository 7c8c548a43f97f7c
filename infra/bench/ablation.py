"""The table of an ablation, from its finished dataset: python -m infra.bench.ablation ROOT WEIGHTS.

Styles are named STYLE, the whole method, and STYLE-VARIANT, with a setting changed, for at least two STYLEs
(infra/jobs/ablation.yaml). WEIGHTS has the judges (infra/bench/stylizers.py); the row `content` is doing nothing.

N pairs of a content and a style, H and W pixels, all alike.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset
import torch
from torch import Tensor

from infra.bench.stylizers import judge, lay_out
from tasks.dataset.identity import read_identity
from tasks.images.decoding import decode, read_picture
from tasks.images.padding import to_tensor
from tasks.plan import read_chain
from tasks.storage import Folder
from tasks.training.data import centre_square

WHOLE = "whole"
COLUMNS = ["content_id", "content_uri", "style", "image", "width", "height", "seconds"]


def main() -> None:
    """Read the records, judge each variant, print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("weights", type=Path)
    options = parser.parse_args()
    variants = read_variants(options.root)
    table = judge(options.weights, *read_pairs(options.root, variants))
    for variant, records in variants.items():
        table[variant]["s an image"] = round(statistics.mean(record["seconds"] for record in records), 4)
    print(lay_out(table))


def read_variants(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Records of each variant, in the order of their contents, of each content in the order of its styles.

    Of one size, that which most have: pictures smaller than the job's size are not enlarged.
    """
    records = pyarrow.dataset.dataset(root / "data", format="parquet").to_table(columns=COLUMNS).to_pylist()
    sizes = Counter((record["width"], record["height"]) for record in records)
    records = [record for record in records if (record["width"], record["height"]) == sizes.most_common(1)[0][0]]
    variants: dict[str, list[dict[str, Any]]] = {WHOLE: []}
    for record in sorted(records, key=lambda record: (record["content_id"], record["style"])):
        record["style"], _, variant = record["style"].partition("-")
        variants.setdefault(variant or WHOLE, []).append(record)
    pairs = {variant: [(record["content_id"], record["style"]) for record in of] for variant, of in variants.items()}
    if any(of != pairs[WHOLE] for of in pairs.values()) or len({style for _, style in pairs[WHOLE]}) < 2:
        raise SystemExit(f"{root} holds no ablation: run a job like infra/jobs/ablation.yaml to its end.")
    return variants


def read_pairs(root: Path, variants: dict[str, list[dict[str, Any]]]) -> tuple[Tensor, dict[str, Tensor]]:
    """Styles_N3HW of the pairs, and the images of each variant by its name, those of the contents as `content`."""
    identity = read_identity(Folder(str(root)))
    assert identity is not None  # it has records
    pairs = variants[WHOLE]
    contents = [read_picture(Path(record["content_uri"]).read_bytes(), identity.images).pixels_HWC for record in pairs]
    outputs = {"content": to_tensor(contents)}
    for variant, records in variants.items():
        outputs[variant] = to_tensor([decode(record["image"]["bytes"]) for record in records])
    images = {s.name: s.references[0].image for plan in read_chain(Folder(str(root))) for s in plan.styles}
    side = outputs[WHOLE].shape[-1]
    squares = {
        name: centre_square(decode(Path(place).read_bytes()), side)
        for name, place in images.items()
        if place and "-" not in name
    }
    return torch.stack([squares[record["style"]] for record in pairs]), outputs


if __name__ == "__main__":
    main()
