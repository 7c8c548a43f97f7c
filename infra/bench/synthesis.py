"""A bank of many styles: its making, its size, opening and drawing from it, and rendering in a style each or in one.

python -m infra.bench.synthesis FOLDER [--styles 10000] [--large 100000] [--contents 64] [--side 256]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from tasks.actors.banking import pack, represent_part
from tasks.banks.kept import bank_name, open_bank
from tasks.banks.packed import Bank, table_key, write_table
from tasks.banks.sources import BankOrder, BankSource, list_source
from tasks.draws.choosing import Urn
from tasks.draws.settings import SplitSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.methods.base import Method, Pairs
from tasks.methods.settings import open_method
from tasks.storage import Folder
from tasks.store import RepresentationStore

SPLIT = SplitSettings(parts=(("train", 8.0), ("test", 2.0)))
BATCH = 8
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
    started = time.perf_counter()
    made = sum(represent_part(store.folder, method, part, 2) for part in source.parts)
    seconds = time.perf_counter() - started
    tell(f"represented {made} pictures", 1000 * seconds / max(1, made), "ms a picture")
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
    for row in range(0, len(bank), max(1, len(bank) // 2000)):
        bank.representation(row)
    tell("a representation out of the map", 1e6 * (time.perf_counter() - started) / 2000, "us")
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
    """Contents encoded once in batches; a style each, one style a batch, and a style each one by one."""
    images = torch.rand(contents, 3, side, side)
    urn = Urn(bank.identities, None, 0)
    rows = [urn.draw(f"{number}.jpg", None, 0) for number in range(contents)]
    ways = {"a style each, together": rows, "one style a batch": [rows[0]] * contents}
    for _ in range(2):  # the first warms up
        for name, chosen in ways.items():
            tell(f"{name}, batches of {BATCH}", contents / render(method, bank, images, chosen, BATCH), "images/s")
        tell("a style each, one by one", contents / render(method, bank, images, rows, 1), "images/s")
        jitter = contents / render(method, bank, images, rows, BATCH, strengths=True)
        tell(f"a style and a strength each, batches of {BATCH}", jitter, "images/s")


def render(
    method: Method, bank: Bank, images_NCHW: torch.Tensor, rows: list[int], batch: int, strengths: bool = False
) -> float:
    started = time.perf_counter()
    for start in range(0, len(images_NCHW), batch):
        chosen = rows[start : start + batch]
        content = method.encode(images_NCHW[start : start + batch])
        reps = [bank.representation(row) for row in chosen]
        pairs = Pairs(range(len(chosen)), range(len(chosen)), [0] * len(chosen))
        if strengths:
            pairs = replace(pairs, strengths=[0.5 + 0.05 * place for place in range(len(chosen))])
        method.render(content, reps, pairs)
    return time.perf_counter() - started


def tell(what: str, figure: float, unit: str) -> None:
    print(f"{what}: {figure:.3g} {unit}", flush=True)


if __name__ == "__main__":
    main()
