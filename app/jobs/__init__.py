"""The workers: jobs, each a line that calls a flow."""
