"""What must never be written down: credentials in a URI, in the environment, and in what errors say."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, urlsplit

# Query parameters that open a door to whoever reads them: signed URLs, tokens, keys.
PARAMETERS = re.compile(
    r"(x-(amz|goog)-)?(signature|sig|credential|security-token)"
    r"|(\w+[-_])?(token|password|passwd|secret|auth|authorization|api[-_]?key|access[-_]?key|account[-_]?key|secret[-_]?key)"
    r"|key|pwd",
    re.IGNORECASE,
)
# What signed URLs of S3 and Google have beside their signatures.
SIGNED = ("x-amz-", "x-goog-")
# Names of environment variables that hold such things.
VARIABLES = re.compile(r"SECRET|TOKEN|PASSW|CREDENTIAL|(API|ACCESS|ACCOUNT|PRIVATE|STORAGE)_?KEY", re.IGNORECASE)
# Shorter values are words, and would be found everywhere.
SHORTEST = 8
USER = re.compile(r"(?<=://)[^/\s@]+@")
QUERY = re.compile(r"(?<=\?)[^\s'\"]+")
HIDDEN = "***"


def carries_secret(uri: str) -> bool:
    """Whether any part of a chained URI has a password, a token in a user's place, or a signature."""
    return any(_carries_secret(part) for part in uri.split("::"))


def is_secret_parameter(name: str) -> bool:
    """Whether a query parameter of this name opens a door to whoever reads it, or belongs to one that does."""
    return PARAMETERS.fullmatch(name) is not None or name.lower().startswith(SIGNED)


def is_credential(variable: str) -> bool:
    """Whether an environment variable holds a credential, by its name."""
    return VARIABLES.search(variable) is not None


def find_credential(text: str) -> str | None:
    """Name of an environment variable whose secret stands in a text, if any."""
    return next((name for name, value in _held().items() if value in text), None)


def hide_secrets(text: str) -> str:
    """A text without users and queries of its URLs, and without the credentials of this process."""
    for value in _held().values():
        text = text.replace(value, HIDDEN)
    return QUERY.sub(HIDDEN, USER.sub("", text)) if "://" in text else text


def _held() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if len(value) >= SHORTEST and is_credential(name)}


def _carries_secret(uri: str) -> bool:
    if "://" not in uri:
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:  # no URI: whoever opens it says so
        return False
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    # github://owner:repository@revision is no password, and abfs://container@account no user.
    password = parts.password and parts.scheme != "github"
    token = parts.username and parts.scheme in ("http", "https", "ftp", "git")
    return bool(password or token) or any(PARAMETERS.fullmatch(name) for name in names)
