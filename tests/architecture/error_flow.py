"""Which codes a function can answer with: those of the errors that it and its callees name.

The analysis reads the source of a function and follows every function, class and method that
it names. A method of an unknown object is looked up by its name in all classes of the package,
so the result may contain too much. It may contain too little only where a function is passed
through an object of unknown class. Errors that are only caught or compared do not count.
"""

import ast
import asyncio
import importlib
import inspect
import pkgutil
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from types import FunctionType, ModuleType
from typing import Any, get_args

BUILT_IN_METHODS = frozenset(
    name for kind in (dict, list, set, str, bytes, tuple, asyncio.Task) for name in dir(kind)
)
"""By their name alone these say nothing about the object."""
COMPARISONS = frozenset({"isinstance", "issubclass", "suppress"})

CodeOf = Callable[[Any], str | None]
"""Returns the code of a class of errors, None for any other object."""


class Package:
    """The functions and classes of some packages of one program, by what they refer to."""

    def __init__(self, *names: str, code_of: CodeOf) -> None:
        self._names = names
        self._code_of = code_of
        self._reached: dict[FunctionType, frozenset[str]] = {}

    def codes(self, *functions: Callable[..., Any]) -> frozenset[str]:
        """Return the codes that these functions can answer with, themselves or by a callee."""
        found: set[str] = set()
        for function in self.reachable(*functions):
            found |= self._own_codes(function)
        return frozenset(found)

    def reachable(self, *functions: Callable[..., Any]) -> set[FunctionType]:
        """Return these functions and everything of the packages that they can call."""
        waiting = [each for function in functions for each in self._functions_of(function)]
        found: set[FunctionType] = set()
        while waiting:
            function = waiting.pop()
            if function not in found:
                found.add(function)
                waiting += self._callees(function)
        return found

    def _own_codes(self, function: FunctionType) -> set[str]:
        codes = {self._code_of(target) for target in self._references(function)}
        return {code for code in codes if code} | _problem_codes(function)

    def _callees(self, function: FunctionType) -> Iterator[FunctionType]:
        for target in self._references(function):
            yield from self._functions_of(target)

    @cache  # noqa: B019 - a package lives as long as its test module
    def _references(self, function: FunctionType) -> tuple[Any, ...]:
        return tuple(self._uses_of(tree_of(function), function))

    def _uses_of(self, tree: ast.AST, function: FunctionType) -> list[Any]:
        known = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
        found: list[Any] = []
        called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in _uses(tree):
            if isinstance(node, ast.Name):
                found.append(known.get(node.id))
            elif isinstance(node, ast.Attribute):
                is_called = node in called
                found += self._attributes(node, function, known, is_called=is_called)
        return found

    @cache  # noqa: B019 - a package lives as long as its test module
    def _stored(self, owner: type) -> dict[str, ast.AST]:
        """Return what `__init__` stores in attributes, such as an object with callbacks."""
        initializer = vars(owner).get("__init__")
        if not isinstance(initializer, FunctionType):
            return {}
        return {
            target.attr: node.value
            for node in ast.walk(tree_of(initializer))
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Attribute) and isinstance(node.value, ast.Call)
        }

    def _attributes(
        self,
        node: ast.Attribute,
        function: FunctionType,
        known: dict[str, Any],
        *,
        is_called: bool,
    ) -> list[Any]:
        owner = known.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if not isinstance(owner, ModuleType | type):
            owner = self._type_of(node.value, function)
        if owner is not None:
            stored = self._stored(owner).get(node.attr) if isinstance(owner, type) else None
            if stored is not None:
                return self._uses_of(stored, vars(owner)["__init__"])
            return [inspect.getattr_static(owner, node.attr, None)]
        # An attribute of an unknown object: a method if it is called, otherwise a property.
        methods = [
            (of_class, method)
            for of_class, method in self._methods[node.attr]
            if is_called != isinstance(method, property | cached_property)
        ]
        if node.attr in BUILT_IN_METHODS:
            # More likely the method of a dictionary or a list.
            return [method for of_class, method in methods if ".domain" in of_class.__module__]
        return [method for _, method in methods]

    def _type_of(self, node: ast.AST, function: FunctionType) -> type | None:
        """Return the class of a parameter, of `self`, or of an attribute of such an object."""
        if isinstance(node, ast.Name):
            if node.id == "self" and function in self._class_of:
                return self._class_of[function]
            return self._annotated(function.__annotations__.get(node.id), function.__globals__)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = function.__globals__.get(node.func.id)
            return called if isinstance(called, type) and self._contains(called) else None
        if isinstance(node, ast.Attribute):
            owner = self._type_of(node.value, function)
            return self._attribute_types(owner).get(node.attr) if owner else None
        return None

    @cache  # noqa: B019 - a package lives as long as its test module
    def _attribute_types(self, owner: type) -> dict[str, type]:
        """Return the classes of fields, and of what `__init__` stores from its parameters."""
        module = vars(importlib.import_module(owner.__module__))
        fields = getattr(owner, "__annotations__", {}).items()
        found = {name: self._annotated(annotation, module) for name, annotation in fields}
        initializer = vars(owner).get("__init__")
        if isinstance(initializer, FunctionType):
            for node in ast.walk(tree_of(initializer)):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                    found[node.targets[0].attr] = self._type_of(node.value, initializer)
                elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
                    found[node.target.attr] = self._annotated(
                        ast.unparse(node.annotation), initializer.__globals__
                    )
        return {name: each for name, each in found.items() if each is not None}

    def _annotated(self, annotation: Any, names: dict[str, Any]) -> type | None:
        """Return the class that an annotation names, rather one of the packages; else None."""
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, dict(names))  # noqa: S307 - our own source
            except (NameError, TypeError):
                return None
        if isinstance(annotation, type) and annotation not in (object, type(None)):
            return annotation if self._is_concrete(annotation) else None
        found = [self._annotated(choice, names) for choice in get_args(annotation)[:2]]
        classes = [choice for choice in found if choice is not None]
        return next(filter(self._contains, classes), classes[0] if classes else None)

    @staticmethod
    def _is_concrete(owner: Any) -> bool:
        return not getattr(owner, "_is_protocol", False)

    def _functions_of(self, target: Any) -> Iterator[FunctionType]:
        """Return the functions of the packages that a use of an object may run."""
        if isinstance(target, type) and self._contains(target):
            for name in ("__init__", "__post_init__", "__call__"):
                yield from self._functions_of(vars(target).get(name))
            return
        if isinstance(target, property | cached_property | classmethod | staticmethod):
            target = getattr(target, "fget", None) or getattr(
                target, "func", getattr(target, "__func__", None)
            )
        target = inspect.unwrap(target) if callable(target) else target
        if isinstance(target, FunctionType):
            if self._contains(target):
                yield target
        elif not isinstance(target, type) and self._contains(type(target)):
            yield from self._functions_of(inspect.getattr_static(type(target), "__call__", None))

    def _contains(self, target: Any) -> bool:
        module = getattr(target, "__module__", None) or ""
        return module.partition(".")[0] in self._names

    @cached_property
    def _classes(self) -> list[type]:
        found: dict[type, None] = {}
        for name in self._names:
            package = importlib.import_module(name)
            for module in pkgutil.walk_packages(package.__path__, f"{name}."):
                for each in vars(importlib.import_module(module.name)).values():
                    if isinstance(each, type) and self._contains(each):
                        found[each] = None
        return [each for each in found if not getattr(each, "_is_protocol", False)]

    @cached_property
    def _methods(self) -> defaultdict[str, list[tuple[type, Any]]]:
        methods: defaultdict[str, list[tuple[type, Any]]] = defaultdict(list)
        for each in self._classes:
            for name, value in vars(each).items():
                methods[name].append((each, value))
        return methods

    @cached_property
    def _class_of(self) -> dict[FunctionType, type]:
        return {
            function: each
            for each in self._classes
            for value in vars(each).values()
            for function in self._functions_of(value)
        }


def tree_of(function: FunctionType) -> ast.AST:
    if function.__code__.co_filename.startswith("<"):
        return ast.Module([], [])  # generated, such as __init__ of a dataclass
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def _uses(tree: ast.AST) -> Iterator[ast.AST]:
    """Return the nodes that can run or raise something: no annotation, no comparison."""
    yield tree
    skipped: list[ast.AST | None] = []
    if isinstance(tree, ast.ExceptHandler):
        skipped = [tree.type]
    elif isinstance(tree, ast.arg | ast.AnnAssign):
        skipped = [tree.annotation]
    elif isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
        skipped = [tree.returns, *tree.decorator_list]
    elif isinstance(tree, ast.MatchClass):
        skipped = [tree.cls]
    elif isinstance(tree, ast.Call) and getattr(tree.func, "id", "") in COMPARISONS:
        skipped = list(tree.args[-1:])
    for child in ast.iter_child_nodes(tree):
        if child not in skipped:
            yield from _uses(child)


def _problem_codes(function: FunctionType) -> set[str]:
    """Return the codes of `Problem("code")`."""
    return {
        node.args[0].value
        for node in ast.walk(tree_of(function))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Problem"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }
