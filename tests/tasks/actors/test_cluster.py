"""How a cluster is divided among actors."""

from __future__ import annotations

import pytest

from tasks.actors.cluster import LOCAL_RAY, Share, connected, divide, start_local
from tasks.actors.settings import ResourceSettings
from tasks.records import RequestError
from tests.servers import free_port

CPUS = [{"CPU": 8.0, "memory": 1e9}]
TWO_GPUS = [{"CPU": 16.0, "GPU": 2.0}]


def share(nodes: list[dict[str, float]], **wanted: float | str) -> Share:
    return divide(ResourceSettings.model_validate(wanted), nodes)


def test_a_cluster_without_gpus_holds_an_actor_a_core() -> None:
    assert share(CPUS) == Share(actors=8, gpus=0.0, threads=1)
    assert share(CPUS, cpus_per_actor=3) == Share(actors=2, gpus=0.0, threads=3)
    assert (share(CPUS).cpus, share(CPUS).device) == (1, "cpu")


def test_each_gpu_gets_an_actor_with_its_part_of_the_cores() -> None:
    assert share(TWO_GPUS) == Share(actors=2, gpus=1.0, threads=8)
    assert (share(TWO_GPUS).cpus, share(TWO_GPUS).device) == (0, "cuda")
    assert share(TWO_GPUS, cpus_per_actor=2).threads == 2


def test_fractions_are_packed() -> None:
    assert share(TWO_GPUS, gpus_per_actor=0.5).actors == 4
    assert share(TWO_GPUS, gpus_per_actor=0.1).actors == 20
    assert share(TWO_GPUS, gpus_per_actor=0.5, actors=3).actors == 3


def test_a_fraction_never_spans_two_gpus() -> None:
    assert share(TWO_GPUS, gpus_per_actor=0.6).actors == 2
    assert share(TWO_GPUS, gpus_per_actor=0.3).actors == 6


def test_whole_gpus_never_span_two_nodes() -> None:
    assert share([{"CPU": 4.0, "GPU": 3.0}] * 2, gpus_per_actor=2).actors == 2


def test_no_gpu_is_taken_where_none_is_wanted() -> None:
    assert share(TWO_GPUS, gpus_per_actor=0, actors=5) == Share(actors=5, gpus=0.0, threads=1)


def test_batch_bounds_are_in_pixels() -> None:
    assert share(CPUS).batch_pixels is None
    assert share(CPUS, batch_megapixels=0.5).batch_pixels == 2**19


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"actors": 9}, "8 CPUs and 0 GPUs, room for 8 actors of 1 CPU: ask for at most 8"),
        ({"gpus_per_actor": 1}, "room for 0 actors of 1 GPU: ask for less"),
        ({"cpus_per_actor": 9}, "room for 0 actors of 9 CPU: ask for less"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(wanted: dict[str, float], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        share(CPUS, **wanted)


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "no-such-host.invalid:{port}"])
def test_a_cluster_that_does_not_answer_is_refused_at_once(address: str) -> None:
    address = address.format(port=free_port())
    with pytest.raises(RequestError, match=f"No Ray cluster answers at {address}"), connected(address):
        pass


@pytest.mark.parametrize(
    ("said", "starts"), [("The current node timed out during startup.", 2), ("No space left on device", 1)]
)
def test_a_start_that_a_busy_machine_had_no_time_for_is_tried_once_more(
    said: str, starts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own start is replaced: no test can make a machine so busy at will."""
    tried: list[object] = []

    def init(**options: object) -> None:
        tried.append(options)
        if len(tried) == 1:
            raise Exception(said)  # as Ray does

    for name, value in LOCAL_RAY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("ray.init", init)
    if starts == 1:
        with pytest.raises(Exception, match=said):
            start_local(num_cpus=1)
    else:
        start_local(num_cpus=1)
    assert len(tried) == starts
    assert tried == [tried[0]] * starts
