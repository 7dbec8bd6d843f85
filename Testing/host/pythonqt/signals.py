"""``sender.connect("signal(type)", slot)`` with the slot taking as many arguments as it wants."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from PySide6.QtCore import QMetaObject, QObject

from host.pythonqt.properties import qt_classes

Slot = Callable[..., Any]

# PySide6 gives a slot with *args nothing, so each count of arguments has its own wrapper.
_WRAPPERS: tuple[Callable[[Slot], Slot], ...] = (
    lambda call: lambda: call(),
    lambda call: lambda a: call(a),
    lambda call: lambda a, b: call(a, b),
    lambda call: lambda a, b, c: call(a, b, c),
    lambda call: lambda a, b, c, d: call(a, b, c, d),
)

_connections: WeakKeyDictionary[QObject, list[tuple[str, Slot, Slot]]] = WeakKeyDictionary()


def give_connect() -> None:
    """Let every QObject connect and disconnect by signature, as PythonQt does.

    Qt's own classes look these two names up past the class, so the lookup itself is replaced.
    """
    for cls in [one for one in qt_classes() if one is QObject or "__getattribute__" in vars(one)]:
        cls.__getattribute__ = _lookup(cls.__getattribute__)


def _lookup(original: Callable[[QObject, str], Any]) -> Callable[[QObject, str], Any]:
    def get(instance: QObject, name: str) -> Any:
        if name == "connect":
            return partial(connect, instance)
        if name == "disconnect":
            return partial(disconnect, instance)
        return original(instance, name)

    return get


def connect(sender: QObject, signature: str, slot: Slot) -> bool:
    """Call the slot on each emission of the signal with that signature.

    Raises:
        ValueError: the sender has no such signal.
    """
    signal, count = _find_signal(sender, signature)
    wanted = min(count, _accepted(slot))
    wrapper = _WRAPPERS[count](lambda *values: slot(*values[:wanted]))
    signal.connect(wrapper)
    _connections.setdefault(sender, []).append((signature, slot, wrapper))
    return True


def disconnect(sender: QObject, signature: str, slot: Slot) -> bool:
    """Undo one ``connect`` with the same arguments; False where there was none."""
    signal, _ = _find_signal(sender, signature)
    made = _connections.get(sender, [])
    for position, (known, known_slot, wrapper) in enumerate(made):
        if known == signature and known_slot == slot:
            signal.disconnect(wrapper)
            del made[position]
            return True
    return False


def _find_signal(sender: QObject, signature: str) -> tuple[Any, int]:
    """The bound signal and how many arguments it sends."""
    normalized = QMetaObject.normalizedSignature(signature).data().decode()
    name, _, types = normalized.partition("(")
    arguments = [one for one in types.rstrip(")").split(",") if one]
    meta = sender.metaObject()
    if meta.indexOfSignal(normalized) >= 0:
        bound = getattr(sender, name)
        overloads = [meta.method(i) for i in range(meta.methodCount()) if meta.method(i).name().data().decode() == name]
        full = {one.methodSignature().data().decode() for one in overloads}
        # A signal with default arguments appears once for each count; only real overloads need a choice.
        counts = {one.parameterCount() for one in overloads}
        if len(full) > 1 and len(counts) < len(full):
            bound = bound[normalized]
        return bound, len(arguments)
    # Signals declared in Python carry objects whatever C++ type the signature names.
    for index in range(meta.methodCount()):
        method = meta.method(index)
        takes_objects = all(one.data().decode() == "PyObject" for one in method.parameterTypes())
        named = method.name().data().decode() == name
        if named and takes_objects and method.parameterCount() == len(arguments):
            return getattr(sender, name), len(arguments)
    raise ValueError(f"{type(sender).__name__} has no signal {signature}")


def _accepted(slot: Slot) -> int:
    """How many positional arguments a slot takes."""
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):
        return len(_WRAPPERS)
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return len(_WRAPPERS)
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)
