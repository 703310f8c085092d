"""The app database: requests, dispatches, locks, and the job queue."""
