"""Mason: an approved backlog item becomes a validated pull request."""
