"""The least that a run needs of its storage, on a server that enforces it: the run works, and nothing else does."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import s3fs

from tasks.actors.loaded import Loaded
from tasks.actors.orders import ActorSettings, make_order
from tasks.actors.shard import stylize_shard
from tasks.corpus.settings import CorpusSettings
from tasks.dataset.chain import plan_retry, plan_wanted
from tasks.dataset.ledger import Ledger
from tasks.dataset.verify import check
from tasks.images.settings import ImageSettings
from tasks.methods.adain.settings import AdainSettings
from tasks.plan import Wanted
from tasks.preflight import check_output, prepare_styles, settle_format
from tasks.records import RequestError
from tasks.shards import ShardSize, by_shard
from tasks.storage import Folder
from tasks.store import RepresentationStore
from tasks.summary import report_data, write_report
from tests.servers import MOTO, start_server
from tests.tasks.actors.making import write_photographs, write_style_pictures

POLICY = json.loads((Path(__file__).parents[2] / "infra" / "storage-policy.json").read_text())
OUTPUT, STORE, CORPUS = "s3://atelier-output/wave", "s3://atelier-store/representations", "s3://atelier-corpus/photos"
BUCKETS = ("atelier-corpus", "atelier-output", "atelier-store", "elsewhere")
IMAGES = ImageSettings(size=64, codec="png")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server of its own: that it asks for credentials goes for its whole process."""
    server = start_server(MOTO)
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def admin(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The buckets' owner, with a corpus of five photographs, one of them broken, and two styles."""
    keys = {"aws_access_key_id": "admin", "aws_secret_access_key": "admin", "region_name": "us-east-1"}
    s3 = boto3.client("s3", endpoint_url=endpoint, **keys)
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
    folder = tmp_path_factory.mktemp("corpus")
    write_photographs(folder / "photos", 4)
    (folder / "photos" / "empty.jpg").write_bytes(b"")
    write_style_pictures(folder / "art")
    for path in folder.rglob("*.*"):
        s3.put_object(Bucket="atelier-corpus", Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())
    return boto3.client("iam", endpoint_url=endpoint, **keys)


@pytest.fixture
def become(admin: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Become a user with a policy; from then on the server looks at who asks."""

    def become(policy: Any) -> None:
        _set_free_actions(endpoint, "inf")
        name = f"user-{time.monotonic_ns()}"
        admin.create_user(UserName=name)
        if policy is not None:
            admin.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        key = admin.create_access_key(UserName=name)["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        s3fs.S3FileSystem.clear_instance_cache()
        _set_free_actions(endpoint, "0")

    yield become
    s3fs.S3FileSystem.clear_instance_cache()
    _set_free_actions(endpoint, "inf")


def _set_free_actions(endpoint: str, count: str) -> None:
    """How many more calls the server answers without a look at who asks."""
    plain = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", count.encode(), plain, method="POST")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def plan_all() -> Any:
    """Preflight and a plan, as a driver makes them."""
    folder = check_output(OUTPUT, IMAGES, 0)
    styles = prepare_styles("s3://atelier-corpus/art", AdainSettings(), OUTPUT, RepresentationStore(STORE).folder)
    corpus = settle_format(CorpusSettings(uri=CORPUS))
    return plan_wanted(folder, Wanted(corpus, IMAGES, 0, styles, STORE, "none", "none"), lambda: ShardSize(3, 2**20))


def make_all(plan: Any) -> None:
    """Every shard of a plan, as an actor makes it."""
    loaded = Loaded(ActorSettings(output=OUTPUT, store=STORE, clip="none"))
    loaded.represent(plan.styles)
    for pieces in by_shard(Ledger(Folder(OUTPUT)).pieces(plan)).values():
        stylize_shard(loaded, make_order(plan, pieces, plan.corpus), lambda *_: None)


def test_a_run_needs_no_more_than_the_policy_gives(become: Callable[[Any], None]) -> None:
    become(POLICY)
    plan = plan_all()
    make_all(plan)
    ledger = Ledger(Folder(OUTPUT))
    verification = check(ledger)
    assert verification.is_whole
    assert (verification.records, verification.failed) == (8, 2)
    assert write_report(ledger.folder, report_data(ledger, verification)).endswith("index.html")
    assert plan_all() is None
    retry = plan_retry(Folder(OUTPUT), lambda _: ShardSize(3, 2**20))
    assert retry is not None
    make_all(retry)
    assert check(Ledger(Folder(OUTPUT))).is_whole
    left = [name for folder in (OUTPUT, STORE) for name in Folder(folder).filesystem.find(folder)]
    assert not [name for name in left if "probe" in name or name.endswith(".lease")], "what is temporary can be deleted"

    data = next(name for name in ledger.folder.list("data"))
    for refused in (
        lambda: ledger.folder.delete(data),
        lambda: ledger.folder.delete("dataset.json"),
        lambda: Folder(CORPUS).publish("p00.jpg", b"another picture"),
        lambda: Folder(CORPUS).delete("p00.jpg"),
        lambda: Folder("s3://elsewhere").publish("x", b""),
        lambda: Folder("s3://elsewhere").list(""),
    ):
        with pytest.raises(PermissionError):
            refused()


@pytest.mark.parametrize(
    ("without", "says"),
    [
        ("FindWhatIsThere", "cannot be"),
        ("ReadTheCorpusAndTheStylesInIt", "cannot be|is no usable picture|not read"),
        ("AddToTheDatasetAndTheStore", "check its permissions, and the credentials"),
    ],
)
def test_without_a_part_of_it_a_run_is_refused_before_it_starts(
    become: Callable[[Any], None], without: str, says: str
) -> None:
    become({**POLICY, "Statement": [one for one in POLICY["Statement"] if one["Sid"] != without]})
    with pytest.raises(RequestError, match=says):
        plan_all()


def test_a_wrong_key_is_refused_in_a_sentence(become: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    become(POLICY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-of-this-key")
    with pytest.raises(RequestError, match="credentials") as caught:
        plan_all()
    assert "not-the-secret" not in str(caught.value)


def test_the_lifecycle_rule_of_the_operations_page_is_one(s3: str) -> None:
    page = (Path(__file__).parents[2] / "infra" / "OPERATIONS.md").read_text()
    (rule,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    bucket, client = s3.removeprefix("s3://"), boto3.client("s3")
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=json.loads(rule))
    (kept,) = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert kept["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert "Expiration" not in kept
