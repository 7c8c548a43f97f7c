"""What the verbs over a finished dataset take: `python -m infra.bench.dataset_verbs FOLDER [CONTENTS]`.

The dataset is of noise of 512 pixels as JPEG, in two styles, 100 contents a shard, made by the real chain and sink.
Each verb runs in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import io
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from infra.bench.planning import make_style
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.archives import ArchiveExporter
from tasks.dataset.chain import plan_wanted
from tasks.dataset.compact import CompactExporter
from tasks.dataset.deep import check_deeply
from tasks.dataset.export import ExportRequest, export
from tasks.dataset.footer import ShardFooter
from tasks.dataset.forget import carry_out, find_takedown
from tasks.dataset.ledger import Ledger
from tasks.dataset.sink import ShardSpool, commit, new_token, picture_path
from tasks.dataset.status import read_progress
from tasks.dataset.trees import TreeExporter
from tasks.dataset.verify import check
from tasks.images.settings import ImageSettings
from tasks.plan import Plan, Wanted
from tasks.shards import PlannedPiece, ShardSize, by_shard
from tasks.storage import Folder
from tasks.styles import PlannedStyle, pair_seed

EXPORTERS = {"parquet": CompactExporter, "webdataset": ArchiveExporter, "imagefolder": TreeExporter}
SIDE = 512


def build(where: Path, contents: int) -> None:
    """Plan a corpus of empty files, and commit each shard with pictures of noise."""
    (where / "photos").mkdir(parents=True)
    for number in range(contents):
        (where / "photos" / f"{number:06d}.jpg").write_bytes(b"%d" % number)
    folder = Folder(str(where / "out"))
    wanted = Wanted(
        CorpusSettings(uri=str(where / "photos")),
        ImageSettings(),
        0,
        (make_style("wave"), make_style("ink")),
        "store",
        "none",
    )
    plan = plan_wanted(folder, wanted, lambda: ShardSize(images=100))
    assert plan is not None
    noise = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 3), dtype=np.uint8)
    pictures = [_encode(pixels) for pixels in noise]
    for shard, planned in by_shard(Ledger(folder).pieces(plan)).items():
        _commit(folder, plan, shard, planned, pictures)


def _encode(pixels: Any) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=60)
    return sink.getvalue()


def _commit(folder: Folder, plan: Plan, shard: int, planned: list[PlannedPiece], pictures: list[bytes]) -> None:
    footer = ShardFooter(plan=plan.seq, shard=shard, plan_digest=plan.digest, token=new_token(), seconds={"busy": 60.0})
    with ShardSpool(pa.schema([])) as spool:
        for number, one in enumerate(plan.styles):
            for place, piece in enumerate(planned):
                row = _row(plan, shard, piece, one)
                name = picture_path(piece.piece.path, one.name, ".jpg")
                spool.add_record((number, place), row, pictures[(place + number) % len(pictures)], name)
        commit(folder, spool, footer)


def _row(plan: Plan, shard: int, piece: PlannedPiece, one: PlannedStyle) -> dict[str, Any]:
    content = piece.piece.path
    return {
        "content_id": content,
        "content_uri": content,
        "content_version": piece.piece.version,
        "style": one.name,
        "style_digest": one.digest,
        "method": "adain",
        "method_version": one.version,
        "weights_digest": one.weights_digest,
        "representation": one.representation,
        "width": SIDE,
        "height": SIDE,
        "seed": pair_seed(plan.seed, content, one.digest),
        "plan": plan.seq,
        "shard": shard,
        "attempt": 0,
        "seconds": 0.5,
    }


def measure(where: Path, verb: str) -> dict[str, Any]:
    """Run one verb; gives seconds, processor seconds and the peak of memory above what imports take."""
    folder = Folder(str(where / "out"))
    before, started, worked = _peak(), time.monotonic(), time.process_time()
    ledger = Ledger(folder)
    if verb in EXPORTERS:
        target = Folder(str(where / verb))
        request = ExportRequest(format=verb, object_bytes=512 * 10**6)  # type: ignore[arg-type]
        result: Any = export(ledger, target, request, EXPORTERS[verb](ledger, target, request)).objects
    elif verb == "forget":
        takedown = find_takedown(ledger, ["000001.jpg"], ["ink"])
        carry_out(folder, takedown)
        result = takedown.records
    else:
        steps = {
            "status": lambda: read_progress(ledger, datetime.now(UTC))[0].status.records,
            "verify": lambda: len(check(ledger).problems),
            "deep": lambda: check_deeply(ledger).pictures,
        }
        result = steps[verb]()
    return {
        "verb": verb,
        "result": result,
        "seconds": round(time.monotonic() - started, 1),
        "processor": round(time.process_time() - worked, 1),
        "megabytes": round(_peak() - before),
    }


def _peak() -> float:
    """Megabytes, by the kernel's own mark: getrusage begins with the peak of the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Build the dataset, then measure each verb."""
    where, contents = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1600
    build(where, contents)
    for verb in ("status", "verify", "deep", *EXPORTERS, "forget"):
        code = "import json, pathlib, infra.bench.dataset_verbs as b; "
        code += f"print(json.dumps(b.measure(pathlib.Path({str(where)!r}), {verb!r})))"
        print(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip())


if __name__ == "__main__":
    main()
