"""What tiers 4 and 5 look for in a changed file: each rule a small record with a test."""
