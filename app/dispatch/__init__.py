"""Dispatchers: GitHub Actions, and processes on this machine."""
