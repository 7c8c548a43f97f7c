"""Contents whose names steer terminals, pages, shells and disks: the pictures are made, and nobody is steered."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.request import url2pathname

import pyarrow.parquet as pq

from tasks.actors.orders import make_order
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import check
from tasks.shards import by_shard
from tasks.storage import Folder
from tasks.summary import report_data, write_report
from tests.tasks.actors.making import encoded, load, photograph, plan_styles, stylize
from tests.tasks.dataset.making import plan_something, wanted

NAMES = (
    "a\nb.jpg",
    "\x1b[2J\x1b]0;owned\x07.jpg",
    "\u202egpj.exe.jpg",
    "<script>alert(1)</script>.jpg",
    "'; rm -rf ~; '.jpg",
    '"onerror="alert(2).jpg',
    "$(reboot)`reboot`.jpg",
    "a..%2f..%2fetc%2fpasswd.jpg",
    "-rf.jpg",
    "con.jpg",
    "a#1.jpg",
    "x" * 240 + ".jpg",
)
BROKEN = "<img src=x onerror=alert(3)>.jpg"


def test_names_are_kept_as_they_are_and_mean_nothing(tmp_path: Path, art: Path) -> None:
    photos = tmp_path / "photos"
    for seed, name in enumerate(NAMES):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)  # a slash makes a folder
        (photos / name).write_bytes(encoded(photograph(48, 32, seed)))
    (photos / BROKEN).write_bytes(b"no picture")
    folder = Folder(str(tmp_path / "out"))
    plan = plan_something(folder, wanted(photos, plan_styles(art)[:1]), images=50)
    loaded = load(tmp_path / "out")
    for pieces in by_shard(Ledger(folder).pieces(plan)).values():
        stylize(loaded, make_order(plan, pieces, plan.corpus))

    ledger = Ledger(folder)
    verification = check(ledger)
    assert (verification.is_whole, verification.records, verification.failed) == (True, len(NAMES), 1)
    (shard,) = (tmp_path / "out" / "data").iterdir()
    rows = pq.read_table(shard).to_pylist()
    assert {row["content_id"] for row in rows} == set(NAMES)
    paths = [row["image"]["path"] for row in rows]
    assert len(set(paths)) == len(NAMES)
    assert all(re.fullmatch(r"\w[\w.-]*|-[\w.-]+", path) and len(path) < 255 for path in paths), paths
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]

    page = Path(url2pathname(write_report(folder, report_data(ledger, verification)))).read_text()
    assert "alert(1)" not in page or "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert '"onerror="alert(2)' not in page
    assert "\x1b" not in page
