"""`mason init`: a repository's own workflow, and what else it takes to start."""
