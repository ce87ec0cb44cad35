"""Assembles the service: create_app()."""

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from prometheus_client import Gauge

from fleetmeter.access.attempts import FailedAttempts
from fleetmeter.access.browser_sessions import BrowserSessions
from fleetmeter.access.first_keys import code_flow_of, may_be_open, people_of
from fleetmeter.access.keyring import Keyring
from fleetmeter.access.rates import Rates
from fleetmeter.database.pool import Database, connect
from fleetmeter.http.analytics import analytics
from fleetmeter.http.anomalies import anomalies
from fleetmeter.http.assignments import assignments
from fleetmeter.http.audit import audit
from fleetmeter.http.corrections import corrections
from fleetmeter.http.export import export
from fleetmeter.http.fleet_now import fleet_now
from fleetmeter.http.influx import health, ping, ping_head, query, write
from fleetmeter.http.ingest import ingest
from fleetmeter.http.inputs import inputs
from fleetmeter.http.keys import keys
from fleetmeter.http.load import load
from fleetmeter.http.meters import meters
from fleetmeter.http.metrics import metrics
from fleetmeter.http.ocpp import ocpp
from fleetmeter.http.page import index, page_files
from fleetmeter.http.rejections import rejections
from fleetmeter.http.rules import rules
from fleetmeter.http.service import (
    live,
    openapi_config,
    openapi_json,
    ready,
    swagger_ui_files,
)
from fleetmeter.http.session import session
from fleetmeter.http.shared.authentication import authentication, check_routes
from fleetmeter.http.shared.bodies import MOST_BODY_BYTES, Bodies, bounded_bodies
from fleetmeter.http.shared.paths import EncodedPaths, decode_parameters
from fleetmeter.http.shared.principals import provide_principal, provide_reach
from fleetmeter.http.shared.problems import problem_details
from fleetmeter.http.shared.web_files import web_files
from fleetmeter.http.sign_in import sign_in
from fleetmeter.http.stream import stream
from fleetmeter.http.tokens import tokens
from fleetmeter.http.transactions import charging_transactions
from fleetmeter.http.vehicles import vehicles
from fleetmeter.http.webhooks import webhooks
from fleetmeter.inputs.influx import Influx
from fleetmeter.inputs.mapping.load import load_charge_points, load_mapping
from fleetmeter.inputs.mqtt.broker import broker_of
from fleetmeter.inputs.mqtt.session import Mqtt
from fleetmeter.inputs.ocpp.central_system import CentralSystem
from fleetmeter.inputs.ocpp.recording import Recorder
from fleetmeter.inputs.ocpp.storing import Store
from fleetmeter.inputs.untaken import UntakenCounter
from fleetmeter.intake.arrivals import Arrivals
from fleetmeter.intake.door import open_door
from fleetmeter.intake.rejection_counter import RejectionCounter
from fleetmeter.metrics import (
    CHARGE_POINTS,
    CONNECTIONS,
    CONNECTIONS_IDLE,
    MQTT_CONNECTED,
    MQTT_WAITING,
    QUEUE_AGE,
    QUEUE_BYTES,
    QUEUE_READINGS,
    STREAM_CLIENTS,
)
from fleetmeter.notifications.stream.hub import Hub
from fleetmeter.notifications.stream.shutdown import on_stop
from fleetmeter.notifications.webhooks.worker import delivering
from fleetmeter.operations.maintenance import maintenance
from fleetmeter.operations.monitoring import Monitor, sampling
from fleetmeter.settings import Settings
from fleetmeter.traces import exported


def create_app(url: str, settings: Settings) -> Litestar:
    """Create the service for a database, which must be migrated before the service is ready.

    Raises SettingsError for a mapping or a broker that cannot be used.
    """
    mapping = load_mapping(settings.mapping)
    charge_points = load_charge_points(settings.mapping)
    broker = broker_of(settings)
    people = people_of(settings)
    code_flow = code_flow_of(people, settings)

    untaken = UntakenCounter()
    rates = Rates(settings)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        web_files()
        database = await connect(url, settings)
        try:
            keyring = Keyring(url, may_be_open=may_be_open(settings))
            async with (
                exported(),
                keyring.running(),
                people.running() if people else nullcontext(),
                maintenance(database),
                delivering(database, settings),
                RejectionCounter(database).running() as rejections,
                open_door(database, settings, rejections, Arrivals(database)) as door,
                CentralSystem(
                    Recorder(database, Store(database, door, rates, untaken), charge_points),
                    settings.ocpp_sample_s,
                ).running() as central,
            ):
                _spare_the_collector()
                mqtt = Mqtt(broker, mapping, untaken, door, url) if broker else None
                hub = Hub(database, settings.stream_clients, settings.stream_states_per_s)
                sources: dict[Gauge, Callable[[], float]] = {
                    QUEUE_READINGS: lambda: door.queue.readings,
                    QUEUE_BYTES: lambda: door.queue.bytes,
                    QUEUE_AGE: door.queue.age_s,
                    CONNECTIONS: lambda: database.connections,
                    CONNECTIONS_IDLE: lambda: database.idle_connections,
                    STREAM_CLIENTS: lambda: hub.listeners,
                    CHARGE_POINTS: lambda: len(central),
                }
                app.state.database = database
                app.state.requests = database.for_requests()
                app.state.hub = hub
                app.state.settings = settings
                app.state.door = door
                app.state.keyring = keyring
                app.state.people = people
                app.state.code_flow = code_flow
                app.state.browser_sessions = BrowserSessions(database, keyring, settings)
                app.state.failed_attempts = FailedAttempts()
                app.state.rates = rates
                app.state.bodies = Bodies()
                app.state.monitor = Monitor(database)
                app.state.untaken = untaken
                app.state.influx = Influx(mapping, untaken)
                app.state.ocpp = central
                app.state.mqtt = mqtt
                if mqtt is not None:
                    sources[MQTT_CONNECTED] = lambda: mqtt.status.connected
                    sources[MQTT_WAITING] = lambda: mqtt.waiting
                async with mqtt.running() if mqtt else nullcontext(), sampling(sources):
                    with on_stop(hub.stop):
                        yield
        finally:
            await database.close()

    def provide_database(state: State) -> Database:
        database: Database = state.requests
        return database

    def provide_monitor(state: State) -> Monitor:
        monitor: Monitor = state.monitor
        return monitor

    def provide_hub(state: State) -> Hub:
        hub: Hub = state.hub
        return hub

    app = EncodedPaths(
        route_handlers=[
            ingest,
            write,
            query,
            ping,
            ping_head,
            health,
            inputs,
            ocpp,
            vehicles,
            meters,
            assignments,
            charging_transactions,
            tokens,
            analytics,
            fleet_now,
            load,
            export,
            corrections,
            anomalies,
            rules,
            rejections,
            keys,
            session,
            sign_in,
            webhooks,
            audit,
            stream,
            metrics,
            index,
            live,
            ready,
            openapi_json,
            swagger_ui_files,
            page_files,
        ],
        middleware=[authentication, decode_parameters, bounded_bodies],
        lifespan=[lifespan],
        dependencies={
            "database": Provide(provide_database, sync_to_thread=False),
            "monitor": Provide(provide_monitor, sync_to_thread=False),
            "hub": Provide(provide_hub, sync_to_thread=False),
            "principal": Provide(provide_principal, sync_to_thread=False),
            "reach": Provide(provide_reach, sync_to_thread=False),
        },
        openapi_config=openapi_config,
        plugins=[problem_details],
        request_max_body_size=min(settings.max_body_bytes, MOST_BODY_BYTES),
        logging_config=None,
    )
    check_routes(app)
    return app


def _spare_the_collector() -> None:
    """Exempt what exists now from garbage collection; a batch makes many objects but no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
