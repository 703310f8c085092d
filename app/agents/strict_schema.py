"""JSON schemas as OpenAI's structured outputs want them (https://platform.openai.com/docs/guides/structured-outputs)."""

from __future__ import annotations

from collections.abc import Mapping

_KEPT = frozenset({"type", "description", "enum", "const", "items", "anyOf", "$ref", "$defs", "properties"})
_NAMED = frozenset({"$defs", "properties"})
"""Keys whose values are schemas by a name of the author's choice."""


def strict(schema: Mapping[str, object]) -> dict[str, object]:
    """The same schema with every property required and no other allowed, without what is not understood there.

    An answer that fits it fits the schema that it was made from, but for its limits of length and size.
    """
    kept = {key: _inner(key, value) for key, value in schema.items() if key in _KEPT}
    if isinstance(kept.get("properties"), Mapping) or schema.get("type") == "object":
        properties = kept.setdefault("properties", {})
        kept["required"] = list(properties) if isinstance(properties, Mapping) else []
        kept["additionalProperties"] = False
    return kept


def _inner(key: str, value: object) -> object:
    if key in _NAMED and isinstance(value, Mapping):
        return {name: strict(each) if isinstance(each, Mapping) else each for name, each in value.items()}
    if key == "anyOf" and isinstance(value, list):
        return [strict(each) if isinstance(each, Mapping) else each for each in value]
    return strict(value) if key == "items" and isinstance(value, Mapping) else value
