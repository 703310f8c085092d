"""Pure records and rules: items, claims, plans, results, events."""
