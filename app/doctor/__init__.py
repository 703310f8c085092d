"""`mason doctor`, put together: like the wiring it knows adapters; what it finds is judged in `flows/doctor.py`."""
