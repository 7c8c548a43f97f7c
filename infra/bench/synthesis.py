"""A bank of many styles: its making, its size, opening and drawing from it, and rendering in a style each or in one.

python -m infra.bench.synthesis FOLDER [--styles 10000] [--large 100000] [--contents 64] [--side 256]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from tasks.actors.banking import pack, represent_part
from tasks.banks.kept import bank_name, open_bank
from tasks.banks.packed import Bank, table_key, write_table
from tasks.banks.sources import BankOrder, BankSource, list_source
from tasks.banks.tensors import BankTensors
from tasks.draws.choosing import Urn
from tasks.draws.settings import SplitSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.base import Method, Pairs
from tasks.methods.settings import open_method
from tasks.storage import Folder
from tasks.store import RepresentationStore

SPLIT = SplitSettings(parts=(("train", 8.0), ("test", 2.0)))
BATCH = 8
WAYS = ("a style each, together", "one style", "a style and a strength each, together", "a style each, one by one")
DRAWS = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--styles", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--contents", type=int, default=64)
    parser.add_argument("--side", type=int, default=256)
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = AdainSettings()
    method = open_method(settings)
    key = make_bank(given.folder, given.styles, settings, method)
    bank = measure_bank(Folder(str(given.folder / "store")), key)
    measure_large(bank, given.large, given.folder)
    measure_rendering(method, bank, given.contents, given.side)


def make_bank(folder: Path, styles: int, settings: AdainSettings, method: Method) -> str:
    """Patterns of 96x96 pixels, represented in parts and packed."""
    write_patterns(folder / "art", styles)
    store = RepresentationStore(str(folder / "store"))
    started = time.perf_counter()
    source = list_source(str(folder / "art"), settings, store.folder)
    tell("listed for the first time (each file hashed)", time.perf_counter() - started, "s")
    started = time.perf_counter()
    list_source(str(folder / "art"), settings, store.folder)
    tell("listed again", time.perf_counter() - started, "s")
    return represent(source, store, settings, method)


def represent(source: BankSource, store: RepresentationStore, settings: AdainSettings, method: Method) -> str:
    started = time.process_time()
    made = sum(represent_part(store.folder, method, part, 2) for part in source.parts)
    seconds = time.process_time() - started
    tell(f"represented {made} pictures", 1000 * seconds / max(1, made), "ms of a core for a picture")
    started = time.perf_counter()
    key = pack(store, BankOrder(settings.name, source.key, tuple(part.name for part in source.parts)))
    tell("packed", time.perf_counter() - started, "s")
    return key


def write_patterns(folder: Path, count: int) -> None:
    """Soft shapes in colour; another number, another picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"{number:06d}.png"
        if not path.exists():
            values_HWC = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(values_HWC).resize((96, 96), Image.Resampling.BICUBIC).save(path, compress_level=1)


def measure_bank(store: Folder, key: str) -> Bank:
    name = bank_name("adain", key)
    tell("bank", store.list("banks")[name] / 1e6, "MB")
    started = time.perf_counter()
    bank = open_bank(store, "adain", key)
    tell(f"opened with {len(bank)} styles, its key checked", time.perf_counter() - started, "s")
    started = time.perf_counter()
    rows, tensors = range(0, len(bank), max(1, len(bank) // 2000)), BankTensors(bank.table)
    for row in rows:
        tensors.representation(row)
    tell("a representation out of the map", 1e6 * (time.perf_counter() - started) / len(rows), "us")
    return bank


def measure_large(bank: Bank, styles: int, folder: Path) -> None:
    """The same tensors again and again under other names: what a bank of so many would take."""
    times = -(-styles // len(bank))
    table = pa.concat_tables([bank.table] * times).slice(0, styles)
    numbers = pa.array([f"{number:032x}" for number in range(styles)])
    table = table.set_column(0, table.schema.field("identity"), numbers)
    path = folder / "large.arrow"
    path.write_bytes(write_table(table))
    tell(f"a bank of {styles}", path.stat().st_size / 1e6, "MB")
    started = time.perf_counter()
    large = Bank(pa.ipc.open_file(pa.memory_map(str(path))).read_all())
    table_key(large.table)
    tell("opened, its key checked", time.perf_counter() - started, "s")
    for split in (None, SPLIT):
        urn = Urn(large.identities, split, 0)
        started = time.perf_counter()
        part = next(iter(urn.members))
        tell(f"parted ({'none' if split is None else 'train and test'})", time.perf_counter() - started, "s")
        started = time.perf_counter()
        for number in range(DRAWS):
            urn.draw(f"train/{number}.jpg", part, 0)
        tell("a draw", 1e6 * (time.perf_counter() - started) / DRAWS, "us")
    path.unlink()


def measure_rendering(method: Method, bank: Bank, contents: int, side: int) -> None:
    """The same contents in each way by turns, batch by batch; seconds are of the processor, whoever else is at work."""
    images_NCHW = torch.rand(contents, 3, side, side)
    urn, tensors = Urn(bank.identities, None, 0), BankTensors(bank.table)
    seconds: dict[str, float] = dict.fromkeys(WAYS, 0.0)
    render(method, tensors, images_NCHW[:BATCH], [0] * BATCH)  # warms up
    for start in range(0, contents, BATCH):
        images = images_NCHW[start : start + BATCH]
        rows = [urn.draw(f"{start + place}.jpg", None, 0) for place in range(BATCH)]
        jitter = [0.5 + 0.06 * place for place in range(BATCH)]
        seconds[WAYS[0]] += render(method, tensors, images, rows)
        seconds[WAYS[1]] += render(method, tensors, images, rows[:1] * BATCH)
        seconds[WAYS[2]] += render(method, tensors, images, rows, jitter)
        seconds[WAYS[3]] += sum(render(method, tensors, images[p : p + 1], [row]) for p, row in enumerate(rows))
    for way in WAYS:
        tell(f"{side}x{side}, {way}", 1000 * seconds[way] / contents, "ms of a core for a picture")


def render(
    method: Method, tensors: BankTensors, images_NCHW: torch.Tensor, rows: list[int], strengths: Sequence[float] = ()
) -> float:
    started = time.process_time()
    content = method.encode(images_NCHW)
    reps = [tensors.representation(row) for row in rows]
    method.render(content, reps, Pairs(range(len(rows)), range(len(rows)), [0] * len(rows), (), strengths))
    return time.process_time() - started


def tell(what: str, figure: float, unit: str) -> None:
    print(f"{what}: {figure:.3g} {unit}", flush=True)


if __name__ == "__main__":
    main()
