"""What a customer is greeted with."""


def greet(name: str) -> str:
    """A greeting by name, or to nobody in particular."""
    return f"Hello, {name}!" if name else "Hello!"
