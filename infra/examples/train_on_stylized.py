"""Train a small classifier on a stylized dataset, read from where it lies, a row group at a time.

    python -m infra.examples.train_on_stylized s3://bucket/stylized --part train --steps 500 --workers 4

Needs torch, pyarrow, fsspec (and s3fs for S3) and Pillow, and nothing of Atelier.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from io import BytesIO
from itertools import count, islice, pairwise
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

MIXED_GROUPS = 4  # row groups whose records are shuffled together: their pictures are what a worker holds


class StylizedRecords(IterableDataset):  # type: ignore[type-arg]
    """Pictures 3HW in [0, 1] with their class numbers, in another order each epoch; workers share the row groups out.

    `part` takes the records of one part of the bank, whose styles no other part has. With `epochs` None it goes on for
    ever, so that workers and what they opened live as long as the training.
    """

    def __init__(
        self, root: str, label: str, classes: list[str], part: str | None, side: int, epochs: int | None = 1
    ) -> None:
        self.root, self.label, self.classes, self.part = root, label, classes, part
        self.side, self.epochs = side, epochs

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        # Opened here, in the worker: clients of object stores do not survive a fork, and are not pickled.
        filesystem, folder = fsspec.core.url_to_fs(self.root)
        groups = [group for path in shards(filesystem, folder) for group in find_groups(filesystem, path, self.part)]
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for epoch in count() if self.epochs is None else range(self.epochs):
            order = random.Random(epoch)  # the same in every worker
            order.shuffle(groups)
            yield from self.pass_over(filesystem, groups[first::step], order)
            if not groups:
                return

    def pass_over(
        self, filesystem: Any, groups: list[tuple[str, int]], order: random.Random
    ) -> Iterator[tuple[Tensor, int]]:
        """The records of some row groups, those of a few groups shuffled together."""
        for start in range(0, len(groups), MIXED_GROUPS):
            few = groups[start : start + MIXED_GROUPS]
            rows = [row for path, group in few for row in self.read(filesystem, path, group)]
            order.shuffle(rows)
            for row in rows:
                yield self.decode(row["image"]["bytes"]), self.classes.index(row[self.label])

    def read(self, filesystem: Any, path: str, group: int) -> list[dict[str, Any]]:
        """Records of a row group; of other parts no picture is decoded."""
        with filesystem.open(path, cache_type="none") as file:
            table = pq.ParquetFile(file).read_row_group(group, columns=["image", self.label, "bank_part"])
        rows: list[dict[str, Any]] = table.to_pylist()
        return [row for row in rows if self.part is None or row["bank_part"] == self.part]

    def decode(self, data: bytes) -> Tensor:
        picture = Image.open(BytesIO(data)).convert("RGB").resize((self.side, self.side))
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def shards(filesystem: Any, folder: str) -> list[str]:
    return sorted(path for path in filesystem.find(f"{folder}/data") if path.endswith(".parquet"))


def find_groups(filesystem: Any, path: str, part: str | None) -> list[tuple[str, int]]:
    """The row groups of a file that hold records of a part."""
    with filesystem.open(path, cache_type="none") as file:
        table = pq.ParquetFile(file)
        return [
            (path, group)
            for group in range(table.num_row_groups)
            if part is None or part in table.read_row_group(group, columns=["bank_part"])["bank_part"].to_pylist()
        ]


def find_classes(root: str, label: str) -> list[str]:
    """Every class, sorted; reads one column."""
    filesystem, folder = fsspec.core.url_to_fs(root)
    found: set[str] = set()
    for path in shards(filesystem, folder):
        with filesystem.open(path, cache_type="none") as file:
            found.update(pq.ParquetFile(file).read(columns=[label])[label].to_pylist())
    return sorted(found)


def make_network(classes: int) -> nn.Module:
    """Four convolutions and a mean."""
    widths = (3, 16, 32, 64, 64)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))


def train(
    records: StylizedRecords, steps: int, batch: int = 32, workers: int = 2, device: str = "cpu"
) -> tuple[nn.Module, list[float]]:
    """The network after so many steps, and the loss of each."""
    torch.manual_seed(0)
    network = make_network(len(records.classes)).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses: list[float] = []
    for images_NCHW, classes_N in islice(open_loader(records, batch, workers), steps):
        loss = nn.functional.cross_entropy(network(images_NCHW.to(device)), classes_N.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if not losses:
        raise SystemExit(f"No record of part {records.part!r} below {records.root}/data.")
    return network, losses


def open_loader(records: StylizedRecords, batch: int, workers: int) -> DataLoader[Any]:
    return DataLoader(
        records, batch_size=batch, num_workers=workers, multiprocessing_context="spawn" if workers else None
    )


@torch.no_grad()
def measure(network: nn.Module, records: StylizedRecords, device: str = "cpu") -> float:
    """Share of the records whose class the network finds."""
    network.eval()
    right = total = 0
    for images_NCHW, classes_N in open_loader(records, 64, 0):
        right += int((network(images_NCHW.to(device)).argmax(1).cpu() == classes_N).sum())
        total += len(classes_N)
    return right / max(1, total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="Path or URI of the dataset.")
    parser.add_argument("--label", default="label", help="Column of classes.")
    parser.add_argument("--part", help="Part of the bank to train on: train.")
    parser.add_argument("--test-part", help="Part to measure on: its styles were never seen.")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    classes = find_classes(given.root, given.label)
    records = StylizedRecords(given.root, given.label, classes, given.part, given.side, epochs=None)
    network, losses = train(records, given.steps, given.batch, given.workers, given.device)
    tenth = max(1, len(losses) // 10)
    print(f"{len(classes)} classes, {len(losses)} steps")
    print(f"loss {sum(losses[:tenth]) / tenth:.3f} at first, {sum(losses[-tenth:]) / tenth:.3f} at last")
    if given.test_part:
        unseen = StylizedRecords(given.root, given.label, classes, given.test_part, given.side)
        print(f"{measure(network, unseen, given.device):.1%} right in styles that it has not seen")


if __name__ == "__main__":
    main()
