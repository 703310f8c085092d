"""The demo: a sample repository, six approved items, and the engine run over them."""
