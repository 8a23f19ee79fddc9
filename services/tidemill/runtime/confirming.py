"""The last look before a commit: what lies outside Kafka must still stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.kernel.processor import Confirming
from tidemill.runtime.transactions import DEPENDENCY, Abort

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.kernel.processor import TaskFactory


def confirmed(
    factory: TaskFactory,
    metadata: Callable[[], Any],  # Any: opaque to us
) -> Callable[[], Any]:  # Any: as above
    """Return `metadata`, asked for only once the factory has confirmed, if it does.

    It is read when every record of the transaction was delivered and no offset sent.
    """
    if not isinstance(factory, Confirming):
        return metadata

    def read() -> Any:  # Any: as above
        try:
            factory.confirm()
        except DependencyUnavailableError as error:
            raise Abort(DEPENDENCY) from error
        return metadata()

    return read
