"""Sinks for events, behind one fan-out."""
