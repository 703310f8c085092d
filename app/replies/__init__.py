"""Every text that people read in comments and in the check runs of the web app."""
