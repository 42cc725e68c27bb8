"""What the tests of chapters have in common: a chapter's definitions, without what it computes."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat


def definitions(notebook: Path, *beginnings: str) -> str:
    """The source of a chapter's imports, parameters, functions and classes, of `ch = …`, and of statements that begin as told."""
    found = []
    for cell in nbformat.read(notebook, 4).cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and "exercise" not in tags:
            for node in ast.parse(cell.source).body:
                source = ast.get_source_segment(cell.source, node)
                wanted = isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef) or "parameters" in tags
                if wanted or source.startswith(("ch = ", *beginnings)):
                    found.append("".join(f"@{ast.unparse(d)}\n" for d in getattr(node, "decorator_list", [])) + source)
    return "\n".join(found)
