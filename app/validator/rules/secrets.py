"""Secrets in a file's text. What is found is known by a digest: nobody is told the secret."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator

from detect_secrets.filters.heuristic import is_sequential_string
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from app.validator.rules.rule import Sighting
from app.validator.rules.source import Source
from app.validator.rules.syntax import Lines

PLUGINS: tuple[RegexBasedDetector, ...] = (
    AWSKeyDetector(),
    AzureStorageKeyDetector(),
    DiscordBotTokenDetector(),
    GitHubTokenDetector(),
    GitLabTokenDetector(),
    MailchimpDetector(),
    PypiTokenDetector(),
    SendGridDetector(),
    SlackDetector(),
    SquareOAuthDetector(),
    StripeDetector(),
    TelegramBotTokenDetector(),
    TwilioKeyDetector(),
)
"""Those of detect-secrets that know a provider's form and take time in proportion to the text.

Only their patterns are used, never their verification, which would ask the provider.
"""

OWN = re.compile(
    r"""
      (?<![\w-])(?:
        github_pat_\w{40,120}
      | sk-ant-[\w-]{24,200}
      | sk-(?:proj|svcacct|admin)-[\w-]{24,250}
      | sk-[A-Za-z0-9]{48}(?![\w-])
      | sk_live_[A-Za-z0-9]{16,200}
      | rk_live_[A-Za-z0-9]{16,200}
      | whsec_[A-Za-z0-9+/]{32,100}
      | sb_secret_[\w-]{20,100}
      | sbp_[0-9a-f]{40}
      | npm_[A-Za-z0-9]{36}
      | hf_[A-Za-z0-9]{34}
      | xai-[A-Za-z0-9]{60,100}
      | gsk_[A-Za-z0-9]{48,60}
      | xox[abeoprs]-[A-Za-z0-9-]{20,200}
      | https://hooks\.slack\.com/services/T\w{6,20}/B\w{6,20}/\w{16,40}
      | AGE-SECRET-KEY-1[0-9A-Z]{58}
      )
    """,
    re.VERBOSE,
)
_EXPRESSIONS = (*(expression for plugin in PLUGINS for expression in plugin.denylist), OWN)
_JWT = re.compile(r"(?<![\w-])eyJ[\w-]{10,1000}\.(eyJ[\w-]{10,4000})\.[\w-]{20,1000}")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----(?:\\n|\s){0,4}([\w+/=.:-]{16,80})"
)
_CONNECTION = re.compile(
    r"(?<![\w+])(?:postgres|postgresql|mysql|mariadb|mongodb|redis|rediss|amqp|amqps|mssql|sqlserver|https?|ftp|smtp)"
    r"(?:\+\w{1,20})?://[^\s:/?#@'\"`<>]{0,100}:([^\s:/?#@'\"`<>]{3,200})@([\w.-]{1,200})"
)
_ASSIGNED = re.compile(
    r"(?:password|passwd|secret|token|api[_-]?key|apikey|private[_-]?key|access[_-]?key|auth[_-]?key)"
    r"['\"]?\]?(?:\s{0,8}:\s{0,8}str)?\s{0,8}(?::=|=>|=|:)\s{0,8}[brf]?['\"`]([^'\"`\s]{8,400})['\"`]",
    re.IGNORECASE,
)

_PLACEHOLDER = re.compile(
    r"example|sample|placeholder|your|change[_-]?me|dummy|fake|test|xxx|redacted|replace|insert|todo|\b(?:foo|bar)|abc123"
    r"|1234567|\.\.\.|\*\*\*|<|>|\$\{|\{\{|\$\(|^\$\w|^\{|^%\(|%s|process\.env|os\.environ|secrets\.|env\(",
    re.IGNORECASE,
)
_WEAK = frozenset({"password", "passwd", "postgres", "secret", "root", "admin", "username", "guest", "undefined"})
_LOCAL = re.compile(
    r"^(?:localhost|127\.|0\.0\.0\.0|db$|postgres$|database$|redis$|mysql$|mongo$|host$|hostname$)|example\b"
)


def find_secrets(source: Source) -> Iterator[Sighting]:
    """What has the form of somebody's key, and no sign of being a placeholder."""
    found = {place for place in _places(source.text) if not looks_made_up(place[1])}
    lines = Lines(source.text) if found else None
    if lines:
        by_line = sorted({(lines.at(offset), secret) for offset, secret in found})
        yield from (_sighting(line, secret) for line, secret in by_line)


def find_likely_secrets(source: Source) -> Iterator[Sighting]:
    """A literal given to something that is called a password, secret, token or key."""
    lines: Lines | None = None
    for match in _ASSIGNED.finditer(source.text):
        if not looks_made_up(match[1]) and not _is_words(match[1]):
            lines = lines or Lines(source.text)
            yield _sighting(lines.at(match.start()), match[1])


def looks_made_up(secret: str) -> bool:
    """Whether this is an example or a reference rather than somebody's secret."""
    if _PLACEHOLDER.search(secret) or secret.lower() in _WEAK or len(set(secret)) < 5:
        return True
    return is_sequential_string(secret)


def _places(text: str) -> Iterator[tuple[int, str]]:
    """Offset and secret; the same one perhaps more than once."""
    for expression in _EXPRESSIONS:
        yield from ((match.start(), match[0]) for match in expression.finditer(text))
    yield from ((jwt.start(), jwt[0]) for jwt in _JWT.finditer(text) if not _is_public(jwt[1]))
    yield from ((key.start(), key[1]) for key in _PRIVATE_KEY.finditer(text))
    for connection in _CONNECTION.finditer(text):
        if not _LOCAL.search(connection[2].lower()):
            yield connection.start(), connection[1]


def _is_public(payload: str) -> bool:
    """Supabase's anonymous key is meant to be seen, and its demo keys are the same everywhere."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return True  # no token at all
    return not isinstance(claims, dict) or claims.get("role") == "anon" or claims.get("iss") == "supabase-demo"


def _is_words(value: str) -> bool:
    """Names, paths, sentences and messages have less in each character than what a machine made."""
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    kinds = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]", r"[^\w\s./-]"))
    return bits < 3.0 or kinds < 2 or bool(re.fullmatch(r"[A-Za-z]+(?:[._/:-][A-Za-z]+)*[0-9]{0,2}", value))


def _sighting(line: int, secret: str) -> Sighting:
    return Sighting(line=line, key=hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest())
