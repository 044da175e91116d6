"""Starts the service: ``HOST``, ``PORT``, ``THREADS`` and ``MAX_PIXELS`` set it up."""

from __future__ import annotations

import logging
import signal
import sys
import time
from types import FrameType
from typing import Any, Dict, List, Optional

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel

from common.errors import SettingsError
from common.logs import set_up_logs
from common.settings import Settings
from web.application import create_application

logger = logging.getLogger("web")

_POLL_SECONDS = 0.2
_DRAIN_SECONDS = 10.0


def main() -> int:
    set_up_logs()
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        logger.error(str(error))
        return 2
    sockets: Dict[int, Any] = {}
    server = create_server(
        create_application(settings),
        map=sockets,
        host=settings.host,
        port=settings.port,
        threads=settings.threads,
    )
    received: List[int] = []

    def stop(number: int, frame: Optional[FrameType]) -> None:
        # A handler runs between any two steps of the server: it takes note, and the loop below
        # stops where nothing is half done.
        received.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    logger.info("listening", extra={"host": settings.host, "port": settings.port})
    while not received:
        wasyncore.loop(timeout=_POLL_SECONDS, map=sockets, count=1)
    logger.info("stopping", extra={"signal": received[0]})
    deadline = time.monotonic() + _DRAIN_SECONDS
    while _busy(sockets) and time.monotonic() < deadline:
        wasyncore.loop(timeout=_POLL_SECONDS, map=sockets, count=1)
    server.task_dispatcher.shutdown()
    return 0


def _busy(sockets: Dict[int, Any]) -> bool:
    """Whether a request is being served, or an answer not yet sent."""
    channels = [item for item in sockets.values() if isinstance(item, HTTPChannel)]
    return any(channel.requests or channel.total_outbufs_len for channel in channels)


if __name__ == "__main__":
    sys.exit(main())
