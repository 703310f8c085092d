"""What a source file imports and exports: one module a language family, each with ``scan``, ``read`` and ``QUERY``."""
