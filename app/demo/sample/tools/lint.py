"""Find unused imports, long lines and trailing blanks; with --fix remove the blanks."""

import ast
import pathlib
import sys

fix = "--fix" in sys.argv
errors = 0
for path in sorted([*pathlib.Path("shop").glob("*.py"), *pathlib.Path("tests").glob("*.py")]):
    text = path.read_text()
    if fix:
        text = "".join(line.rstrip() + "\n" for line in text.splitlines())
        path.write_text(text)
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            print(f"{path}:{number}:1: error: trailing blanks")
            errors += 1
        if len(line) > 100:
            print(f"{path}:{number}:101: error: line too long")
            errors += 1
    tree = ast.parse(text)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            for alias in node.names:
                name = (alias.asname or alias.name).partition(".")[0]
                if name not in names:
                    print(f"{path}:{node.lineno}:1: error: {name} is imported and not used")
                    errors += 1
sys.exit(1 if errors else 0)
