"""Starts the service: ``HOST``, ``PORT``, ``THREADS`` and ``MAX_PIXELS`` set it up."""

from __future__ import annotations

import logging
import signal
import sys
from types import FrameType
from typing import Optional

from waitress import create_server

from common.errors import SettingsError
from common.logs import set_up_logs
from common.settings import Settings
from web.application import create_application

logger = logging.getLogger("web")


def main() -> int:
    set_up_logs()
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        logger.error(str(error))
        return 2
    server = create_server(
        create_application(settings),
        host=settings.host,
        port=settings.port,
        threads=settings.threads,
    )

    def stop(number: int, frame: Optional[FrameType]) -> None:
        logger.info("stopping", extra={"signal": number})
        # waitress leaves its loop on SystemExit, and finishes the requests it is serving.
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    logger.info("listening", extra={"host": settings.host, "port": settings.port})
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
