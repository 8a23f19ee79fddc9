"""Real clients with a hook before and after every call: how faults are injected."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

from tidemill.runtime.clients import KafkaClients

if TYPE_CHECKING:
    from collections.abc import Callable


class Hooks:
    """Calls seen, in order, and what to do around the next ones."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.arguments: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self.before: dict[str, list[Callable[[], None]]] = defaultdict(list)
        self.after: dict[str, list[Callable[[], None]]] = defaultdict(list)

        self.instead: dict[str, list[Callable[[], None] | None]] = defaultdict(list)

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            self.arguments[name].append(args)
            if self.before[name]:
                self.before[name].pop(0)()
            instead = self.instead[name].pop(0) if self.instead[name] else None
            result = call(*args, **kwargs) if instead is None else instead()
            if self.after[name]:
                self.after[name].pop(0)()
            return result

        return wrapper


class Wrapped:
    """A client whose calls go through hooks."""

    def __init__(self, client: Any, hooks: Hooks) -> None:
        self._client = client
        self._hooks = hooks

    def __getattr__(self, name: str) -> Any:
        return self._hooks.around(name, getattr(self._client, name))


class WrappedClients(KafkaClients):
    """KafkaClients whose group member and producer go through hooks."""

    def __init__(self, bootstrap: str, extra: dict[str, str] | None = None) -> None:
        super().__init__(bootstrap, extra)
        self.hooks = Hooks()

    def member(self, group: str, instance: str) -> Any:
        return Wrapped(super().member(group, instance), self.hooks)

    def producer(self, transactional_id: str) -> Any:
        return Wrapped(super().producer(transactional_id), self.hooks)


def raising(code: int, **kinds: bool) -> Callable[[], None]:
    """Return a hook that raises a Kafka error; kinds are fatal, retriable, txn_requires_abort."""

    def hook() -> None:
        raise KafkaException(KafkaError(code, "injected", **kinds))

    return hook
