"""Receipts as text."""


def receipt(items: dict[str, float]) -> str:
    """One line an item, and the sum."""
    lines = [f"{name}: {price:.2f}" for name, price in items.items()]
    total = sum(items.values())
    lines.append(f"Total: {total:.2f}")
    return "\n".join(lines)
