"""Every word that an agent is told."""
