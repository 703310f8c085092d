"""GitHub. `forge` holds `github_forge`; `tokens`, `app_tokens` and `exchanged_tokens` where its tokens come from.

Nothing is imported here: a run without GitHub does not pay for it.
"""
