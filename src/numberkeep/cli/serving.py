"""Runs a service from its start to the signal that ends it."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from datetime import timedelta

import click
import uvloop

from .. import logs
from ..app import App
from ..config import Settings
from ..opening import StartError, listen
from ..storage.driver import StoreError
from ..supervisor import READY, REPLACED, Supervisor, WorkerFailed
from ..world import World

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until told to stop, with several processes if the settings ask for them. Raises click.ClickException."""
    if settings.workers > 1 and settings.seat is None:
        _supervise(settings)
    else:
        _run(settings)


def _run(settings: Settings) -> None:
    logs.configure(settings.log_format)
    try:
        uvloop.run(_serve(settings))
    except (StartError, StoreError) as error:
        raise _failure(settings, str(error)) from error


def _failure(settings: Settings, text: str) -> Exception:
    """Return the exception that ends the program; the reason is shown in the chosen log format."""
    if settings.log_format == "text":
        return click.ClickException(text)
    log.error("%s", text)
    return click.exceptions.Exit(1)


def _say(settings: Settings, text: str) -> None:
    if settings.log_format == "text":
        click.echo(text, err=not settings.dev)  # the standard output of serve is for the trail
    else:
        for line in text.splitlines():
            log.info("%s", line)


def _supervise(settings: Settings) -> None:
    logs.configure(settings.log_format)
    try:
        with ExitStack() as stack:
            listen(settings.host, settings.port, "--port").close()  # or workers of another server could share it
            first = stack.enter_context(listen(settings.host, settings.port, "--port", shared=True))
            port = first.getsockname()[1]
            others = [listen(settings.host, port, "--port", shared=True) for _ in range(settings.workers - 1)]
            admin = stack.enter_context(listen(settings.admin_host, settings.admin_port, "--admin-port"))
            command = [sys.executable, "-m", "numberkeep", "worker"]
            supervisor = Supervisor(
                command, sys.argv[1:], [first, *map(stack.enter_context, others)], admin, settings.stop_delay
            )
            welcome = _welcome(settings, port, admin.getsockname()[1])
            uvloop.run(supervisor.run(lambda: _say(settings, welcome)))
    except StartError as error:
        raise _failure(settings, str(error)) from error
    except WorkerFailed as error:
        raise _failure(settings, f"{error}.") from error


async def _serve(settings: Settings) -> None:
    gc.disable()  # objects that the start creates stay
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    replaced = False

    def replace() -> None:
        nonlocal replaced
        replaced = True
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    reloading = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, reloading.set)  # otherwise the signal would end a process that is starting
    async with App(settings) as running:
        loop.add_signal_handler(signal.SIGHUP, running.reload)
        if reloading.is_set():
            running.reload()
        # The garbage collector need not look at these objects again, nor run so often.
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()
        if settings.seat:
            lifeline = socket.socket(fileno=settings.seat.lifeline_fd)
            loop.add_reader(lifeline, stopped.set)  # readable only when the supervisor has gone
            loop.add_signal_handler(REPLACED, replace)
            lifeline.sendall(READY)
        else:
            welcome = _welcome(settings, running.port, running.admin_port, running.credentials, running.world)
            _say(settings, welcome)
            sys.stdout.flush()
        await stopped.wait()
        if replaced:
            running.hand_over()
            return
        hurried = asyncio.Event()

        def hurry() -> None:
            hurried.set()
            running.stop_now()

        loop.add_signal_handler(signal.SIGINT, hurry)
        delay = f"all requests are served for {settings.stop_delay:g} s, then " if settings.stop_delay else ""
        log.info("stopping: %srequests in progress are answered; SIGINT (Ctrl-C) ends them at once", delay)
        running.stop_soon()
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.stop_delay):
                await hurried.wait()


def _welcome(
    settings: Settings,
    port: int,
    admin_port: int,
    credentials: tuple[str, str] = ("", ""),
    world: World | None = None,
) -> str:
    api = f"http{'s' * bool(settings.tls_cert)}://{settings.host}:{port}"
    admin = f"http://{settings.admin_host}:{admin_port}"
    lines = [
        f"Numberkeep answers the Amazon Chime API at {api}",
        f"Health{' and controls' if settings.dev else ''}: {admin}/_numberkeep/health",
        f"Console: {admin}/",
    ]
    if settings.carriers:
        lines.append(f"Carriers: as {settings.carriers} says")
    elif not settings.dev:
        lines.append(
            "Carriers: the simulated one alone, which provides what nobody owns; others are named by --carriers"
        )
    if world and world.offset_seconds >= 1:
        ahead = timedelta(seconds=int(world.offset_seconds))
        lines.append(f"Clock: {ahead} ahead of the real time; POST {admin}/_numberkeep/reset begins again at that")
    if settings.dev:
        key_id, secret = credentials
        operation = (
            "search-available-phone-numbers --area-code 206"
            if settings.empty
            else "update-phone-number --phone-number-id +12065550100 --product-type BusinessCalling"
        )
        lines += [
            "Try:",
            f"  AWS_ACCESS_KEY_ID={key_id} AWS_SECRET_ACCESS_KEY={secret} AWS_DEFAULT_REGION=us-east-1 \\",
            f"  aws chime {operation} \\",
            f"  --endpoint-url {api}",
        ]
    return "\n".join(lines)
