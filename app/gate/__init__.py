"""The gate: toolchain detection, checks, diagnostics."""
