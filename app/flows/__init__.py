"""The stories, each a sentence."""
