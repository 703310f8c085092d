"""The REST API (contracts §4): one module a group of routes, each a blueprint; `framework` is what they share."""
