"""GitHub: `github_forge` and the sources of its tokens."""

from app.forge.github.app_tokens import AppTokens
from app.forge.github.exchanged_tokens import ExchangedTokens
from app.forge.github.forge import GithubForge, GithubOptions, github_forge
from app.forge.github.limits import Pace
from app.forge.github.tokens import PlainToken, Tokens

__all__ = [
    "AppTokens",
    "ExchangedTokens",
    "GithubForge",
    "GithubOptions",
    "Pace",
    "PlainToken",
    "Tokens",
    "github_forge",
]
