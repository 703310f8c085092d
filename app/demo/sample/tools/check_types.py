"""Resolve every annotation of the shop: a name that does not exist is an error."""

import importlib
import inspect
import pathlib
import sys
import typing

sys.path.insert(0, ".")
errors = 0
for path in sorted(pathlib.Path("shop").glob("*.py")):
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    for name, function in inspect.getmembers(module, inspect.isfunction):
        line = inspect.getsourcelines(function)[1]
        try:
            hints = typing.get_type_hints(function)
        except NameError as problem:
            print(f"{path}:{line}:1: error: {problem}")
            errors += 1
            continue
        for argument in [*inspect.signature(function).parameters, "return"]:
            if argument not in hints:
                print(f"{path}:{line}:1: error: {name}: {argument} has no type")
                errors += 1
sys.exit(1 if errors else 0)
