"""``sender.connect("signal(type)", slot)``: the slot takes as many arguments as it wants."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import shiboken6
from PySide6.QtCore import QMetaMethod, QMetaObject, QObject

Slot = Callable[..., Any]

# PySide6 counts the parameters of a slot and gives `*args` none, so each count has its own.
_FIXED: tuple[Callable[[Slot], Slot], ...] = (
    lambda call: lambda: call(),
    lambda call: lambda a: call(a),
    lambda call: lambda a, b: call(a, b),
    lambda call: lambda a, b, c: call(a, b, c),
    lambda call: lambda a, b, c, d: call(a, b, c, d),
    lambda call: lambda a, b, c, d, e: call(a, b, c, d, e),
)


@dataclass(frozen=True)
class Connection:
    """What ``connect`` made, for ``disconnect`` to find."""

    signature: str
    slot: Slot
    receiver: Slot


# Keyed by the C++ object: its Python object may go and come again.
_connections: dict[int, list[Connection]] = {}


def connect(sender: QObject, signature: str, *target: Any) -> bool:
    """Call a slot on each emission of the signal with that signature.

    Args:
        sender: emits the signal.
        signature: as in C++: ``"clicked(bool)"``.
        target: the slot, or a receiver and the signature of its slot.

    Raises:
        ValueError: the sender has no such signal, or the receiver no such slot.
    """
    signature, slot = _normalized(signature), _slot(target)
    method = _find_signal(sender, signature)
    wanted = min(method.parameterCount(), _accepted(slot))
    receiver = _FIXED[method.parameterCount()](lambda *values: slot(*values[:wanted]))
    _bound(sender, method).connect(receiver)
    key = _address(sender)
    if key not in _connections:
        _connections[key] = []
        sender.destroyed.connect(lambda: _connections.pop(key, None))
    _connections[key].append(Connection(signature, slot, receiver))
    return True


def disconnect(sender: QObject, signature: str, *target: Any) -> bool:
    """Undo one ``connect`` with the same arguments, or without a slot all of that signal.

    Returns:
        Whether there was such a connection.

    Raises:
        ValueError: the sender has no such signal, or the receiver no such slot.
    """
    signature = _normalized(signature)
    bound = _bound(sender, _find_signal(sender, signature))
    slot = _slot(target) if target else None
    made = _connections.get(_address(sender), [])
    matching = [one for one in made if one.signature == signature and slot in (None, one.slot)]
    for connection in matching if slot is None else matching[:1]:
        bound.disconnect(connection.receiver)
        made.remove(connection)
    return bool(matching)


def _normalized(signature: str) -> str:
    return QMetaObject.normalizedSignature(signature).data().decode()


def _address(sender: QObject) -> int:
    return shiboken6.getCppPointer(sender)[0]


def _slot(target: tuple[Any, ...]) -> Slot:
    if len(target) == 1 and callable(target[0]):
        return target[0]
    receiver, signature = target
    slot = getattr(receiver, signature.partition("(")[0], None)
    if not callable(slot):
        raise ValueError(f"{type(receiver).__name__} has no slot {signature}")
    return slot


def _find_signal(sender: QObject, signature: str) -> QMetaMethod:
    meta = sender.metaObject()
    if (index := meta.indexOfSignal(signature)) >= 0:
        return meta.method(index)
    name, types = _parts(signature)
    for candidate in _signals(sender, name):
        own_types = _parts(candidate.methodSignature().data().decode())[1]
        # A signal declared in Python carries a Python object where C++ has a pointer.
        if len(own_types) == len(types) and all(own in ("PyObject", other) for own, other in zip(own_types, types)):
            return candidate
    known = sorted({one.methodSignature().data().decode() for one in _signals(sender, name)})
    raise ValueError(
        f"{type(sender).__name__} has no signal {signature}" + (f"; it has {', '.join(known)}" if known else "")
    )


def _signals(sender: QObject, name: str) -> list[QMetaMethod]:
    meta = sender.metaObject()
    methods = [meta.method(index) for index in range(meta.methodCount())]
    return [one for one in methods if one.methodType() == QMetaMethod.Signal and one.name().data().decode() == name]


def _parts(signature: str) -> tuple[str, list[str]]:
    name, _, types = signature.partition("(")
    return name, [one for one in types.rstrip(")").split(",") if one]


def _bound(sender: QObject, method: QMetaMethod) -> Any:
    """The signal instance of exactly this overload."""
    name = method.name().data().decode()
    bound = getattr(sender, name)
    counts = [one.parameterCount() for one in _signals(sender, name)]
    # A signal with default arguments is listed once for each count, but is one signal.
    if len(set(counts)) == len(counts):
        return bound
    return bound[tuple(one.data().decode() for one in method.parameterTypes())]


def _accepted(slot: Slot) -> int:
    """How many positional arguments a slot takes."""
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):
        return len(_FIXED)
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return len(_FIXED)
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)
