"""A node that is cut off from everything and comes back: two actors at one shard, and one commit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.world import ROOT
from tests.pipelines.conftest import Atelier, read_images, wait_for, write_job
from tests.servers import tool
from tests.tasks.actors.making import write_photographs, write_style_pictures

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.prefect, pytest.mark.timeout(900)]

NETWORK = "10.211.77"
# Ray gives a silent node up after a minute (facts/infra.md 5: 63 s).
CUT_SECONDS = 75


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Hosts:
    """Two network namespaces on a bridge, each a Ray node; the head is on this side of the bridge."""

    names: list[str]
    address: str

    def cut(self, index: int) -> None:
        ip("link", "set", f"{self.names[index]}-out", "down")

    def heal(self, index: int) -> None:
        ip("link", "set", f"{self.names[index]}-out", "up")


@pytest.fixture
def hosts(atelier: Atelier) -> Iterator[Hosts]:
    tag, names = f"at{os.getpid() % 10_000}", []
    environment = atelier.environment | {
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0",
        "ATELIER_DECODING_SECONDS": "3",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "slowly"), str(ROOT)]),
    }
    atelier.environment["RAY_AUTH_MODE"] = "disabled"
    try:
        ip("link", "add", tag, "type", "bridge")
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("no network can be made here")
    nodes = []
    try:
        ip("address", "add", f"{NETWORK}.1/24", "dev", tag)
        ip("link", "set", tag, "up")
        address = f"{NETWORK}.1:6399"
        nodes.append(start_node([], "--head", f"--node-ip-address={NETWORK}.1", "--port=6399", env=environment))
        for index in range(2):
            names.append(add_host(tag, index))
            inside = ["ip", "netns", "exec", names[-1]]
            here = f"--node-ip-address={NETWORK}.{index + 2}"
            nodes.append(start_node(inside, f"--address={address}", here, "--num-cpus=1", env=environment))
            # One after another: both take the names of their sockets from the same folder.
            wait_until_joined(address, index + 2, environment)
        yield Hosts(names, address)
    finally:
        for node in nodes:
            node.kill()
        for pid in atelier.processes():
            os.kill(pid, 9)
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False)
        ip("link", "delete", tag)


def add_host(tag: str, index: int) -> str:
    name = f"{tag}{'ab'[index]}"
    ip("netns", "add", name)
    ip("link", "add", f"{name}-out", "type", "veth", "peer", "name", f"{name}-in", "netns", name)
    ip("link", "set", f"{name}-out", "master", tag, "up")
    ip("-n", name, "address", "add", f"{NETWORK}.{index + 2}/24", "dev", f"{name}-in")
    ip("-n", name, "link", "set", f"{name}-in", "up")
    ip("-n", name, "link", "set", "lo", "up")
    return name


def start_node(inside: list[str], *words: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    cpus = ["--num-cpus=0"] if "--head" in words else []
    ray = [tool("ray"), "start", "--block", "--disable-usage-stats", *cpus]
    memory = [f"--object-store-memory={80 * 2**20}", "--include-dashboard=false"]
    command = [*inside, *ray, *(memory if "--head" in words else memory[:1]), *words]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if "--head" in words:
        wait_for(lambda: socket.socket().connect_ex((f"{NETWORK}.1", 6399)) == 0, process)
    return process


def wait_until_joined(address: str, nodes: int, env: dict[str, str]) -> None:
    alive = f"sum(node['Alive'] for node in ray.nodes()) < {nodes}"
    code = f"import ray, time; ray.init('{address}', log_to_driver=False)\nwhile {alive}: time.sleep(0.5)"
    subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, timeout=240)


def test_a_node_that_is_cut_off_and_comes_back_doubles_nothing(hosts: Hosts, atelier: Atelier, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 16)
    write_style_pictures(tmp_path / "art")
    job, out = write_job(tmp_path, shard_images=4), tmp_path / "out"
    atelier.environment["RAY_ADDRESS"] = hosts.address
    try:
        process = atelier.start("run", job)
        wait_for(lambda: (out / "data").is_dir() and any(out.glob("data/*.parquet")), process)
        hosts.cut(0)
        # Here the disk is shared and no network lies before it: whoever is cut off goes on and commits.
        time.sleep(CUT_SECONDS)
        hosts.heal(0)
        outcome = atelier.finish(process)
    finally:
        del atelier.environment["RAY_ADDRESS"]
    assert outcome.code == 0, outcome.stderr
    assert len(read_images(out)) == 32
    assert atelier("verify", out).code == 0
