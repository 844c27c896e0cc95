"""A node of an embedded database that files and delivers nothing: started by the benchmarks as a process."""

import asyncio

import uvicorn
import uvloop

from service import app as wiring
from service import log
from service.settings import Settings
from service.web import addresses, front
from service.web.connections import Gate


async def main() -> None:
    """Serve until told to stop."""
    settings = Settings()
    log.configure(settings.log_level)
    door = front.bound(settings.host, settings.port)
    hub = await wiring.open_hub(settings)
    try:
        app = wiring.create_app(hub)
        gate = Gate(proxies=addresses.networks(settings.proxies))
        await uvicorn.Server(front.config(app, gate, settings.host, settings.port)).serve(sockets=[door])
    finally:
        await wiring.close_hub(hub)


if __name__ == "__main__":
    # The loop of nodes.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
