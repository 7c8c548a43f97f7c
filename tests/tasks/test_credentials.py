"""What counts as a credential, and how it is kept out of what is written."""

from __future__ import annotations

import pytest

from tasks.credentials import carries_secret, find_credential, hide_secrets, is_credential


@pytest.mark.parametrize(
    "uri",
    [
        "s3://user:password@bucket/photos",
        "https://ghp_0123456789@github.com/a/b/c.safetensors",
        "https://bucket.s3.amazonaws.com/x?X-Amz-Algorithm=A&X-Amz-Signature=0123",
        "https://bucket.s3.amazonaws.com/x?X-Amz-Security-Token=0123",
        "https://account.blob.core.windows.net/c/x?sv=2022&sig=0123",
        "https://storage.googleapis.com/b/x?X-Goog-Signature=0123",
        "https://example.com/x?api_key=0123",
        "https://example.com/x?access_token=0123",
        "simplecache::https://example.com/x?token=0123",
        "zip://photos::s3://user:password@bucket/x.zip",
    ],
)
def test_a_uri_that_opens_a_door_is_known(uri: str) -> None:
    assert carries_secret(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/photos",
        "abfs://container@account.dfs.core.windows.net/photos",
        "github://owner:repository@main/art",
        "https://example.com/art?size=large&tokens=4",
        "memory://x",
        "photos/a@b.jpg",
        "http://[",
    ],
)
def test_a_uri_that_does_not_passes(uri: str) -> None:
    assert not carries_secret(uri)


def test_variables_that_hold_credentials_are_known_by_their_names() -> None:
    held = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "DB_PASSWORD", "AZURE_STORAGE_KEY", "API_KEY")
    assert all(map(is_credential, held))
    assert not any(map(is_credential, ("BUCKET", "HOME", "STYLE_KEY", "AWS_DEFAULT_REGION", "MONKEY")))


def test_secrets_are_found_and_hidden_by_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "planted-secret-1")
    said = "cannot reach https://me:pw@host/a?X-Amz-Signature=0123abc with planted-secret-1: refused"
    assert find_credential(said) == "DB_PASSWORD"
    assert hide_secrets(said) == "cannot reach https://host/a?*** with ***: refused"
    assert find_credential(hide_secrets(said)) is None
    monkeypatch.setenv("DB_PASSWORD", "a")
    assert hide_secrets("What? A bad day.") == "What? A bad day."
