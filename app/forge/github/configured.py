"""Which token counts where several are configured: an App's own, then a given one."""

from __future__ import annotations

from app.forge.github.tokens import Learned, PlainToken, Tokens


def configured_tokens(
    *, api_url: str, repository: str, token: str | None, app_id: str | None, app_key: str | None, learned: Learned
) -> Tokens | None:
    """None when nothing is configured. Raises UsageError for a token or key that cannot be one."""
    if app_id and app_key:
        from app.forge.github.app_tokens import AppTokens  # slow to import, and not always needed

        return AppTokens(api_url, repository, app_id, app_key, learned)
    return PlainToken(token, learned) if token else None
