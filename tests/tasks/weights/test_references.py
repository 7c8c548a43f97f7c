from __future__ import annotations

import hashlib
import json
from pathlib import Path

import fsspec
import pytest

from tasks.records import RequestError
from tasks.weights.catalog import CHECKPOINTS, EMBEDDED, embedded_card, embedded_names
from tasks.weights.references import cache_folder, digest, is_path, resolve


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_path_is_told_from_a_name() -> None:
    assert is_path("weights/decoder.pth")
    assert is_path("/weights/decoder.pth")
    names = ["embedded:adain-small", "hf:owner/repo/file@1", "s3://bucket/decoder.pth", *CHECKPOINTS]
    assert not any(is_path(name) for name in names)


def test_a_path_is_itself_and_its_digest_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "decoder.pth"
    path.write_bytes(b"first")
    assert resolve(str(path)) == path
    assert digest(str(path)) == hashlib.sha256(b"first").hexdigest()
    path.write_bytes(b"second one")
    assert digest(str(path)) == hashlib.sha256(b"second one").hexdigest()


def test_a_missing_checkpoint_is_named_with_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no weights file.*decoder\.pth comes from release v0\.0\.0 of naoto0804"):
        resolve(str(tmp_path / "decoder.pth"))


def test_a_checkpoint_without_an_address_says_where_a_person_gets_it(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"get latest_net_decoder\.pth out of AdaAttN_model\.zip.*Huage001/AdaAttN"):
        resolve("adaattn-vgg-decoder")
    with pytest.raises(RequestError, match=r"latest_net_adaattn_3\.pth comes from AdaAttN_model\.zip.*Drive\.$"):
        resolve(str(tmp_path / "latest_net_adaattn_3.pth"))


def test_a_remote_file_is_fetched_once_for_each_of_its_versions() -> None:
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/weights/a.pth", b"first")
    first = resolve("memory://weights/a.pth")
    assert first.read_bytes() == b"first"
    written = first.stat().st_mtime_ns
    assert resolve("memory://weights/a.pth") == first
    assert first.stat().st_mtime_ns == written
    filesystem.pipe_file("/weights/a.pth", b"second one")
    second = resolve("memory://weights/a.pth")
    assert second.read_bytes() == b"second one"
    assert sorted(cache_folder().iterdir()) == sorted([first, second])
    with pytest.raises(RequestError, match="cannot be read"):
        resolve("memory://weights/missing.pth")


def test_a_hub_reference_must_name_a_revision() -> None:
    with pytest.raises(RequestError, match="hf:OWNER/REPO/FILE@REVISION"):
        resolve("hf:owner/repo/file.safetensors")


def test_an_unknown_embedded_name_lists_the_known() -> None:
    with pytest.raises(RequestError, match="embedded weights are: "):
        resolve("embedded:nothing")


@pytest.mark.parametrize("name", embedded_names())
def test_embedded_weights_are_those_their_card_describes(name: str) -> None:
    card = embedded_card(name)
    assert digest(f"embedded:{name}") == card["sha256"], json.dumps(card)[:200]


def test_every_embedded_file_has_a_card() -> None:
    alone = [path.stem for path in EMBEDDED.glob("*.safetensors")]
    folders = [path.parent.name for path in EMBEDDED.glob("*/*.safetensors")]
    assert sorted([*alone, *folders]) == embedded_names()
