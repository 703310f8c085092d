"""Coding agents: one adapter a module."""
