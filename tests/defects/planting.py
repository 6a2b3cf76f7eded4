"""Loading an engine with one planted defect: the real source, one piece of text replaced, under a name of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import lobsim.book

SOURCES = Path(lobsim.book.__file__).parent


class Defect(NamedTuple):
    """One small patch: `old` stands exactly once in `module` and becomes `new`.

    `questions` says that events and visible book stay right, so that only an engine's other answers show it.
    """

    name: str
    module: str
    old: str
    new: str
    questions: bool = False


def patched(defect: Defect) -> str:
    """The source of the defect's module with the defect in it; AssertionError when the patch no longer applies."""
    source = (SOURCES / f"{defect.module}.py").read_text(encoding="utf-8")
    count = source.count(defect.old)
    assert count == 1, f"{defect.name}: the text to replace stands {count} times in {defect.module}.py, not once"
    return source.replace(defect.old, defect.new)


class _Sources(InspectLoader, MetaPathFinder):
    """Imports a copy of lobsim.book called `package`, one module of it patched."""

    def __init__(self, package: str, defect: Defect) -> None:
        self._package = package
        self._texts = {path.stem: path.read_text(encoding="utf-8") for path in SOURCES.glob("*.py")}
        self._texts[defect.module] = patched(defect)

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, module = fullname.partition(".")
        if package != self._package or (module or "__init__") not in self._texts:
            return None
        return spec_from_loader(fullname, self, is_package=not module)

    def get_source(self, fullname: str) -> str:
        module = fullname.partition(".")[2] or "__init__"
        return self._texts[module].replace("lobsim.book", self._package)


@contextmanager
def planted(defect: Defect) -> Iterator[Any]:
    """The `OrderBook` class with the defect in it."""
    package = f"defective_{defect.name}"
    finder = _Sources(package, defect)
    sys.meta_path.insert(0, finder)
    try:
        yield import_module(package).OrderBook
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]
