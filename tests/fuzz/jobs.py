"""Jobs that strangers wrote: a job, or one sentence about what is wrong, soon."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from pipelines.job import Job, load_job
from tasks.actors.cluster import divide
from tasks.records import RequestError
from tests.fuzz.mutations import mutate
from tests.fuzz.sandbox import Check

JOBS = Path(__file__).parents[2] / "infra" / "jobs"
NODES = [{"CPU": 8.0, "GPU": 2.0}]
NINES = "9" * 5000
LETTERS = "abcdefghij"
AGAIN = [f"{name}: &{name} [{', '.join([f'*{old}'] * 9)}]" for old, name in pairwise(LETTERS)]
MERGED = [f"{name}: &{name}\n  <<: [{', '.join([f'*{old}'] * 9)}]" for old, name in pairwise(LETTERS)]
HEAD = "corpus: photos\noutput: out\nstyles: art\n"

# Texts that make something enormous, endless or alive of a YAML reader that lets them.
YAML_BOMBS: dict[str, str] = {
    "a billion laughs": "\n".join(["a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]", *AGAIN, "corpus: *j"]),
    "a billion merged keys": "\n".join(["a: &a {corpus: x}", *MERGED, "<<: *j"]),
    "a list that holds itself": f"{HEAD}resources: &a [*a]",
    "a mapping that holds itself": f"{HEAD}resources: &a {{actors: *a}}",
    "a mapping merged into itself": f"{HEAD}resources: &a\n  <<: *a",
    "a hundred thousand brackets": "[" * 100_000,
    "a key a level": "{a: " * 20_000,
    "a dash a level": "- " * 20_000,
    "a question a level": "? " * 20_000,
    "a number of 5000 digits": f"{HEAD}seed: {NINES}",
    "a number of 100,000 hexadecimal digits": f"{HEAD}seed: 0x{'f' * 100_000}",
    "a number to the base of sixty": f"{HEAD}seed: 1{':59' * 3000}",
    "the 31st of February": f"{HEAD}seed: 2001-02-31",
    "an hour east of the world": f"{HEAD}seed: 2001-01-01 00:00:00 +99:99",
    "a function to call": "!!python/object/apply:os.system ['touch pwned']",
    "an object to make": "corpus: !!python/object/new:os.system [touch pwned]\noutput: out\nstyles: art",
    "a module to import": "corpus: !!python/module:antigravity ''\noutput: out\nstyles: art",
    "a tag of our own": "corpus: !job photos\noutput: out\nstyles: art",
    "a wrong tag over a number": f"{HEAD}seed: !!timestamp x",
    "a truth that is none": f"{HEAD}seed: !!bool x",
    "bytes for text": "corpus: !!binary AAECAw==\noutput: out\nstyles: art",
    "a set": "corpus: photos\noutput: out\nstyles: !!set {a, b}",
    "a path that ends early": 'corpus: "photos\\0.jpg"\noutput: out\nstyles: art',
    "half a letter": 'corpus: "photos\\ud800"\noutput: out\nstyles: art',
    "a terminal's codes": 'corpus: photos\noutput: out\nstyles: art\n"\\x1b[2Jgone": 1',
    "a million letters in a path": f"corpus: {'x' * 1_000_000}\noutput: out\nstyles: art",
    "endless actors": f"{HEAD}resources: {{actors: .inf}}",
    "a share that is no number": f"{HEAD}resources: {{gpus_per_actor: .nan}}",
    "endless GPUs": f"{HEAD}resources: {{gpus_per_actor: .inf}}",
    "endless pixels": f"{HEAD}resources: {{batch_megapixels: .inf}}",
    "more processors than atoms": f"{HEAD}resources: {{cpus_per_actor: {NINES[:400]}}}",
    "more failures than none": f"{HEAD}max_failed: .nan",
    "a weight without end": "corpus: p\noutput: o\nstyles: [{name: a, references: [{image: a, weight: 1.0e+400}]}]",
    "keys that are numbers": f"{HEAD}1: 2",
    "keys that are nothing": f"{HEAD}~: 2",
    "two documents": f"{HEAD}---\n{HEAD}",
    "nothing": "",
}
# What takes the place of one value of a good job.
NASTY: tuple[Any, ...] = (
    *(None, True, "", 0, -1, 2**31, 2**63, 2**64, 10**300, -(10**300), 1e308, float("inf"), float("nan"), -0.0),
    *([], {}, [[]], [{}], {"": ""}, {"name": "adain"}, "x" * 5000, "${HOME}", "${", "${NOT_SET_ANYWHERE}", "../" * 50),
    *("s3://", "s3:///", "://", "file://", "http://[", "memory://x", "a::b::c", "zip://x::s3://y", "\n", "%00", "~"),
    *("embedded:../../etc/passwd", "hf:x", "local-dir:/", "/dev/zero", "C:\\x", "\u202egnp.exe", "\N{PILE OF POO}"),
)


def prepare() -> Check:
    """A check of the case of a number: the file is a job that can be sent and divided, or a RequestError."""
    seeds = [path.read_bytes() for path in sorted(JOBS.glob("*.yaml")) if not path.name.startswith("train-")]
    values = [yaml.safe_load(seed) for seed in seeds]
    path = Path("job.yaml")

    def check(case: int) -> str:
        path.write_bytes(make_case(case, seeds, values))
        return read(path)

    return check


def read(path: Path) -> str:
    """What becomes of a job file on its way to a run, up to the first look at a corpus."""
    try:
        job = load_job(path)
        divide(job.resources, NODES)
    except RequestError as error:
        said = str(error)
        assert 0 < len(said) < 2000
        assert all(letter.isprintable() or letter.isspace() for letter in said), ascii(said)
        return "refused"
    # Prefect keeps a run's parameters as JSON, and a worker reads them.
    assert Job.model_validate_json(job.model_dump_json()) == job
    assert not Path("pwned").exists()
    return "job"


def make_case(case: int, seeds: Sequence[bytes], values: Sequence[Any]) -> bytes:
    """The file of a case; the same number is always the same file."""
    rng = random.Random(f"job {case}")
    kind = rng.random()
    if kind < 0.05:
        bomb = rng.choice(list(YAML_BOMBS.values())).encode(errors="replace")
        return bomb if rng.random() < 0.5 else mutate([bomb[:5000]], rng)
    if kind < 0.5:
        return mutate(seeds, rng)
    value = rng.choice(values)
    for _ in range(rng.choice((1, 1, 2, 4))):
        value = _spoil(value, rng)
    return yaml.safe_dump(value, allow_unicode=rng.random() < 0.5).encode()


def _spoil(value: Any, rng: random.Random) -> Any:
    """The value with one of the values in it, however deep, replaced, doubled, dropped or misnamed."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.15:
        return rng.choice(NASTY)
    return _spoil_mapping(value, rng) if isinstance(value, dict) else _spoil_list(value, rng)


def _spoil_mapping(value: dict[Any, Any], rng: random.Random) -> dict[Any, Any]:
    key = rng.choice(list(value))
    others = {name: one for name, one in value.items() if name != key}
    changes: list[Callable[[], dict[Any, Any]]] = [
        *[lambda: {**value, key: _spoil(value[key], rng)}] * 4,
        lambda: others,
        lambda: {**others, f"{key}s": value[key]},
        lambda: {**value, rng.choice(("", "a\tb", "名", "x" * 300)): rng.choice(NASTY)},
    ]
    return rng.choice(changes)()


def _spoil_list(value: list[Any], rng: random.Random) -> list[Any]:
    place = rng.randrange(len(value))
    changed = [*value[:place], _spoil(value[place], rng), *value[place + 1 :]]
    return rng.choice((changed, changed, value * 2, value[:place], [*value, rng.choice(NASTY)]))
