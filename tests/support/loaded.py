"""What a forked process of the command has loaded before: the service, and what commands load."""

import gc

import httptools
import uvicorn.lifespan.on
import uvicorn.loops.uvloop
import uvicorn.protocols.http.httptools_impl

import fleetmeter.files.imports.run
import fleetmeter.operations.storage
import fleetmeter_simulator.run
from fleetmeter import cli
from fleetmeter.app import create_app
from fleetmeter.settings import Settings
from tests.support import processes

__all__ = ["cli", "fleetmeter", "fleetmeter_simulator", "httptools", "processes", "uvicorn"]

create_app("", Settings())  # the framework loads much of itself only now
gc.collect()
gc.freeze()  # what is shared with the forked processes stays shared
