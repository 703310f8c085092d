"""Backlog stores and their migrations."""
