"""The web app: bytes verified, made into typed deliveries, left to the workers; and what operators look at."""
