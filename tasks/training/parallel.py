"""Training on several devices or machines at once, with Ray Train: one process a device, all of which step as one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from tasks.records import RequestError
from tasks.training.history import LOSSES, read_losses
from tasks.training.loop import LoopSettings, Recipe, prepare_folder, train
from tasks.training.peers import TorchPeers

if TYPE_CHECKING:
    from ray.train.torch import TorchTrainer

MakeRecipe = Callable[[torch.device], Recipe]
Node = Mapping[str, float]

MAX_THREADS = 16  # of a process on CPUs: small networks gain nothing from more
POLL_SECONDS = 1.0
STORAGE = "ray"  # Ray Train's own notes below the run's folder, gone when the run has ended
# What Ray Train reads in the driver.
RAY_TRAIN = {
    # Paths that a recipe was given are relative to where the run was started.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Its own minute is not enough for a busy machine to import torch in every worker.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
}


def train_parallel(
    make_recipe: MakeRecipe,
    settings: LoopSettings,
    folder: Path,
    resume: bool = False,
    workers: int = 2,
    gpus_per_worker: int | None = None,
) -> None:
    """Train as `train` does, on `workers` processes; the checkpoint, log, curves and sheets are in `folder`.

    The caller is a driver of a Ray cluster (`tasks.actors.cluster.connected`). `make_recipe` travels to each process
    and makes the recipe there, for its device. A step takes a batch of each, so its batch is `workers` times the
    recipe's. `gpus_per_worker` is 0 or 1; None goes by the settings' device, and for `auto` by whether the cluster has
    GPUs. All nodes have to see `folder`. Raises RequestError as `train` does, where a recipe raises it, and where the
    cluster has no room.
    """
    import ray  # with ray.train, seconds to import

    nodes = [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    if gpus_per_worker is None:
        has_gpus = any(node.get("GPU", 0) for node in nodes)
        gpus_per_worker = int(has_gpus if settings.device == "auto" else settings.device != "cpu")
    share = share_out(nodes, workers, gpus_per_worker)
    prepare_folder(folder, resume)
    settings = replace(settings, device="cuda" if gpus_per_worker else "cpu")
    place = Place(settings, folder.resolve(), resume, None if gpus_per_worker else share["CPU"])
    trainer = make_trainer(partial(work, make_recipe, place), place.folder, workers, share)
    try:
        follow(trainer, place)
    finally:
        shutil.rmtree(place.folder / STORAGE, ignore_errors=True)


@dataclass(frozen=True)
class Place:
    """What every process is told: how and where to train, and on how many threads; None leaves them as they are."""

    settings: LoopSettings
    folder: Path
    resume: bool
    threads: int | None


def work(make_recipe: MakeRecipe, place: Place) -> None:
    """What each process does; Ray Train has started torch's process group and chosen its device."""
    if place.threads:
        torch.set_num_threads(place.threads)
    recipe = make_recipe(torch.device(place.settings.device))
    train(recipe, place.settings, place.folder, place.resume, TorchPeers())


def make_trainer(work: Callable[[], None], folder: Path, workers: int, share: dict[str, int]) -> TorchTrainer:
    """What starts the processes, their process group (NCCL on GPUs, Gloo on CPUs), and watches over them."""
    for name, value in RAY_TRAIN.items():
        os.environ.setdefault(name, value)
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    scaling = ScalingConfig(num_workers=workers, use_gpu="GPU" in share, resources_per_worker=share)
    return TorchTrainer(work, scaling_config=scaling, run_config=RunConfig(name=STORAGE, storage_path=str(folder)))


def share_out(nodes: Sequence[Node], workers: int, gpus: int) -> dict[str, int]:
    """What each worker takes: a GPU, or its part of the CPUs. Raises RequestError where there is no room.

    No CPU is taken beside a GPU, as by the actors: its threads only feed it.
    """
    if workers < 1:
        raise RequestError(f"{workers} workers cannot train: ask for 1 or more")
    kind, most = ("GPU", gpus) if gpus else ("CPU", MAX_THREADS)
    for each in range(most, 0, -1):
        if sum(int(node.get(kind, 0) / each) for node in nodes) >= workers:
            return {"CPU": 0, "GPU": each} if gpus else {"CPU": each}
    total = sum(int(node.get(kind, 0)) for node in nodes)
    advice = f"ask for at most {total}" if total else "train with `device: cpu`"
    raise RequestError(f"the cluster has {total} {kind}s, too few for {workers} workers: {advice}")


def follow(trainer: TorchTrainer, place: Place) -> None:
    """Fit, with progress on stderr as read from the log.

    In a thread of its own, because in the main one Ray would answer Ctrl-C by leaving with exit code 0.
    """
    ended: Future[None] = Future()
    Thread(target=fit, args=(trainer, ended), daemon=True).start()
    with tqdm(total=place.settings.steps, unit="step", mininterval=10) as bar:
        while not wait([ended], POLL_SECONDS).done:
            show_progress(bar, place.folder)
        show_progress(bar, place.folder)
    error = ended.exception()
    if error is not None:
        raise explain(error) from error


def fit(trainer: TorchTrainer, ended: Future[None]) -> None:
    try:
        trainer.fit()
    except BaseException as error:  # noqa: BLE001 (raised again where it is awaited)
        ended.set_exception(error)
    else:
        ended.set_result(None)


def show_progress(bar: tqdm[Any], folder: Path) -> None:
    for line in read_losses(folder / LOSSES)[-1:]:
        bar.set_postfix({name: value for name, value in line.items() if name not in ("step", "time")}, refresh=False)
        bar.update(int(line["step"]) - bar.n)


def explain(error: BaseException) -> BaseException:
    """The RequestError of a worker, where one of them raised it; others only lost their peer."""
    failures = getattr(error, "worker_failures", {}).values()
    return next((failure for failure in failures if isinstance(failure, RequestError)), error)
