"""What a list of places allows, which addresses it allows, and what is hidden of a URI."""

from __future__ import annotations

import pytest

from tasks.corpus.allowed import AllowList, strip_secrets
from tasks.corpus.settings import CorpusSettings


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        (
            "https://images.example.org",
            ["https://images.example.org/a.jpg", "https://IMAGES.example.org:443/a", "https://images.example.org./a"],
            [
                "http://images.example.org/a.jpg",
                "https://images.example.org:8443/a",
                "https://images.example.org.evil.net/a",
                "https://evil.net/images.example.org",
                "https://images.example.org@evil.net/a",
                "https://evil.net#images.example.org",
                "https://evil.net\\.images.example.org/a",
            ],
        ),
        ("https://*.example.org", ["https://a.b.example.org/x"], ["https://example.org/x", "https://badexample.org/x"]),
        ("https://*", ["https://anything.net/x"], ["http://anything.net/x", "s3://anything.net/x"]),
        ("s3://bucket/photos", ["s3://bucket/photos/a.jpg"], ["s3://bucket/photos2/a", "s3://buckets/photos/a"]),
        ("https://h:8443/a", ["https://h:8443/a/b"], ["https://h/a/b", "https://h:8443/%2fb", "https://h:8443/b"]),
    ],
)
def test_a_place_is_a_scheme_a_host_and_a_folder(entry: str, inside: list[str], outside: list[str]) -> None:
    allowed = AllowList([entry])
    assert [uri for uri in inside if not allowed.permits(uri)] == []
    assert [uri for uri in outside if allowed.permits(uri)] == []


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:db8::1",
    "fd00:ec2::254",
]


def test_private_addresses_need_a_network_of_their_own() -> None:
    anywhere = AllowList(["https://*", "http://*"])
    assert [address for address in PRIVATE if anywhere.permits_address(address)] == []
    assert all(map(anywhere.permits_address, ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"]))
    some = AllowList(["https://*", "10.0.0.0/8", "fc00::/7", "http://127.0.0.1:8000"])
    allowed = [address for address in PRIVATE if some.permits_address(address)]
    assert allowed == [
        "127.0.0.1",
        "10.1.2.3",
        "fc00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fd00:ec2::254",
    ]


@pytest.mark.parametrize(
    "entry", ["example.org", "https://", "https://u:p@h", "https://h/?q=1", "s3://b/../c", "1.2.3"]
)
def test_an_entry_that_cannot_be_understood_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="allow"):
        CorpusSettings(uri="a.csv", format="manifest", allow=(entry,))


def test_names_passwords_and_signatures_are_hidden() -> None:
    assert strip_secrets("https://user:hunter2@h/a.jpg?x=1") == "https://h/a.jpg?x=1"
    signed = "https://h/a.jpg?X-Amz-Signature=hunter2&X-Amz-Credential=AKIA&v=2&token=hunter2&sig=hunter2"
    assert strip_secrets(signed) == "https://h/a.jpg?v=2"
    assert strip_secrets("photos/a b#1?.jpg") == "photos/a b#1?.jpg"
    assert strip_secrets("https://h/ü.jpg?q=a+b") == "https://h/ü.jpg?q=a+b"
    assert strip_secrets("a\x1b[2J\n.jpg") == "a%1B[2J%0A.jpg"
    assert "hunter2" not in strip_secrets("https://u:hunter2@[::1/a")
