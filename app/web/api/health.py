"""`GET /api/health`, for clients of the API: that the key is good, and which Mason answers."""

from __future__ import annotations

from typing import Literal

from flask import Response

from app.domain.api_keys import Scope
from app.web.api.framework import ApiBlueprint, Model, answer, needs


class Health(Model):
    status: Literal["ok"] = "ok"
    version: str


def health_routes(version: str) -> ApiBlueprint:
    api = ApiBlueprint("health", tag="Health", prefix="/api")

    @api.get("/health", responses={"200": Health})
    @needs(Scope.READ)
    def health() -> Response:
        """Whether the API answers."""
        return answer(Health(version=version))

    return api
