"""What people see in a browser: runs as they happen, and who may look at them."""
