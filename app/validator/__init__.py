"""The Implementation Validator: one module a tier."""
