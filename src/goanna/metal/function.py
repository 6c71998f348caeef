"""What a metal module declares besides types: functions, statics, hooks, outside symbols. All inert until compiled."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import cached_property
from types import FunctionType
from typing import Any

from .types import LayoutError, Type, caller_environment, resolve

__all__ = ["Constant", "Hook", "MetalFunction", "Static", "constant", "extern", "extern_static", "hook", "metal"]


class SignatureError(LayoutError):
    """What is wrong in a function's head; `parameter` is its name, "return" the result's."""

    def __init__(self, message: str, parameter: str, hint: str = "") -> None:
        super().__init__(message)
        self.parameter, self.hint = parameter, hint


class MetalFunction:
    """A function to be compiled. Names are looked up in its live globals and closure when it is."""

    def __init__(
        self,
        python: FunctionType,
        *,
        owner: Type | None = None,
        environment: Any = None,
        inline: bool | None = None,
        naked: bool = False,
        export: str | None = None,
        section: str | None = None,
        cold: bool = False,
        external: str | None = None,
    ) -> None:
        self.python, self.owner, self.environment = python, owner, environment
        self.inline, self.naked, self.export, self.section, self.cold = inline, naked, export, section, cold
        self.external = external
        self.name, self.module, self.__doc__ = python.__qualname__, python.__module__, python.__doc__
        self.code = python.__code__

    def __repr__(self) -> str:
        return f"{self.module}.{self.name}"

    def __call__(self, *_: Any) -> Any:
        raise TypeError(f"{self!r} is a metal function: compile it, in tests by jit({self.python.__name__}).call(...)")

    @property
    def symbol(self) -> str:
        """The name in the object file, without the mark of a specialisation."""
        return (
            self.export
            or self.external
            or f"{self.module.removeprefix('goanna.')}.{self.name}".replace("<locals>.", "")
        )

    @property
    def variables(self) -> dict[str, Any]:
        """The closure's variables."""
        closure = self.python.__closure__ or ()
        found = {}
        for name, cell in zip(self.code.co_freevars, closure, strict=True):
            try:
                found[name] = cell.cell_contents
            except ValueError:
                continue
        return found

    def lookup(self, name: str) -> Any:
        """What a global or closure name stands for. Raises KeyError."""
        variables = self.variables
        if name in variables:
            return variables[name]
        if name in self.python.__globals__:
            return self.python.__globals__[name]
        if self.environment is not None and name in self.environment:
            return self.environment[name]
        builtins = self.python.__globals__["__builtins__"]
        return (builtins if isinstance(builtins, dict) else vars(builtins))[name]

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The parameters that have a default, with it."""
        parameters = inspect.signature(self.python).parameters.values()
        return {each.name: each.default for each in parameters if each.default is not each.empty}

    def signature(self) -> tuple[list[tuple[str, Any]], Any]:
        """The parameters (name, type or TypeVar) and the result. Raises LayoutError for what is no type."""
        environment = self.environment if self.environment is not None else self.python.__globals__
        scope = _Scope(self, environment)
        annotations = self.python.__annotations__
        parameters = []
        found = inspect.signature(self.python).parameters
        if self.owner is not None and not found:
            hint = f"write `def {self.python.__name__}(self)`, or @staticmethod above it"
            raise SignatureError("a method's first parameter is its structure", "return", hint)
        for index, (name, parameter) in enumerate(found.items()):
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
                raise SignatureError(f"metal has no {stars}{name}", name, "a Slice[...] takes any number of one type")
            if index == 0 and self.owner is not None and name not in annotations:
                parameters.append((name, self.owner))
            elif name not in annotations:
                raise SignatureError(f"parameter {name!r} has no type", name, f"write `{name}: u64`, say")
            else:
                parameters.append((name, self._resolve(name, annotations[name], scope)))
        return parameters, self._resolve("return", annotations.get("return"), scope)

    def _resolve(self, name: str, annotation: Any, scope: _Scope) -> Any:
        try:
            return resolve(annotation, scope)
        except LayoutError as error:
            raise SignatureError(str(error), name, error.hint) from None


# What @metal(...) takes.
OPTIONS = ("inline", "naked", "export", "section", "cold")


class _Scope(dict[str, Any]):
    """Names for the quoted annotations of a function."""

    def __init__(self, function: MetalFunction, environment: Any) -> None:
        super().__init__()
        self.function, self.environment = function, environment

    def __missing__(self, key: str) -> Any:
        return self.function.lookup(key)


def metal(python: Any = None, **options: Any) -> Any:
    """Mark a function for compilation. Options: inline, naked, export, section, cold (see docs/metal.md)."""
    environment = caller_environment()
    unknown = [each for each in options if each not in OPTIONS]
    if unknown:
        raise TypeError(f"@metal has no option {unknown[0]!r}: it has {', '.join(OPTIONS)}")

    def mark(python: Any) -> MetalFunction:
        if isinstance(python, type):
            raise TypeError(
                f"@metal marks functions; mark the class {python.__name__} @struct, and all its methods are"
            )
        if not isinstance(python, FunctionType):
            raise TypeError(f"@metal marks functions, not {python!r}: put it below other decorators")
        return MetalFunction(python, environment=environment, **options)

    return mark(python) if python is not None else mark


def extern(symbol: str) -> Callable[[Any], MetalFunction]:
    """Declare a function that assembly text or the linker provides under `symbol`; its body is `...`."""
    environment = caller_environment()
    return lambda python: MetalFunction(python, environment=environment, external=symbol)


class Static:
    """A variable of the kernel: zero or a constant at start, one for the machine or one a processor."""

    def __init__(
        self,
        type_: Any,
        initial: Any = None,
        *,
        environment: Any,
        align: int = 1,
        section: str | None = None,
        export: str | None = None,
        per_processor: bool = False,
        external: str | None = None,
    ) -> None:
        self._type, self.initial, self.environment = type_, initial, environment
        self.align, self.section, self.export = align, section, export
        self.per_processor, self.external = per_processor, external
        self.module = environment.live.get("__name__", "?")
        self.name = ""
        # Who called static(), constant() or per_processor(): the debugger says that the variable is declared there.
        declared = sys._getframe(2)
        self.file, self.line = declared.f_code.co_filename, declared.f_lineno

    @property
    def type(self) -> Type:
        """The variable's type."""
        if not isinstance(self._type, Type):
            self._type = resolve(self._type, self.environment)
        return self._type


class Constant(Static):
    """A read-only table in the image."""


def static(
    type_: Any, initial: Any = None, *, align: int = 1, section: str | None = None, export: str | None = None
) -> Any:
    """A variable of the whole machine. Zero unless `initial` is given."""
    return Static(type_, initial, environment=caller_environment(), align=align, section=section, export=export)


def per_processor(type_: Any) -> Any:
    """A variable of which each processor has its own, zero at start."""
    return Static(type_, environment=caller_environment(), per_processor=True)


def constant(type_: Any, value: Any, *, align: int = 1, section: str | None = None, export: str | None = None) -> Any:
    """A read-only table, filled from Python numbers, bytes, sequences, mappings, metal functions and other statics."""
    return Constant(type_, value, environment=caller_environment(), align=align, section=section, export=export)


def extern_static(symbol: str, type_: Any) -> Any:
    """A symbol that the linker or assembly text provides."""
    return Static(type_, environment=caller_environment(), external=symbol)


class Hook:
    """A function that a higher room fills in at import, so that a lower one can call it. Set once; calls are direct."""

    def __init__(self, type_: Any, environment: Any) -> None:
        self._type, self.environment = type_, environment
        self.function: MetalFunction | None = None
        self.name = ""

    @property
    def type(self) -> Any:
        """The function type."""
        return resolve(self._type, self.environment)

    def set(self, function: MetalFunction) -> MetalFunction:
        """Fill it in. Raises TypeError if another function is there already. Serves as a decorator too."""
        if not isinstance(function, MetalFunction):
            raise TypeError(f"a hook takes a @metal function, not {function!r}")
        if self.function is not None and self.function is not function:
            raise TypeError(f"this hook is already {self.function!r}; it cannot be {function!r} too")
        self.function = function
        return function


def hook(type_: Any) -> Hook:
    """Declare a hook of the given Fn type."""
    return Hook(type_, caller_environment())
