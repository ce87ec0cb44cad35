"""The broker that the settings name, and how it is spoken to."""

import ssl
from urllib.parse import urlsplit

import msgspec

from fleetmeter.errors import SettingsError
from fleetmeter.settings import Settings

_PORTS = {"mqtt": 1883, "mqtts": 8883}

NO_SHARE = "off"


class Broker(msgspec.Struct, frozen=True):
    """A broker, and what is agreed with it."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    user: str | None
    password: str | None
    is_version_5: bool
    client_id: str
    share: str | None
    """The group that shares all messages; None: one process takes them."""

    session_s: int
    in_flight: int


def broker_of(settings: Settings) -> Broker | None:
    """Return the broker of the settings, if there is one. Raises SettingsError."""
    if settings.mqtt_url is None:
        return None
    url = urlsplit(settings.mqtt_url)
    try:
        port = url.port or _PORTS[url.scheme]
    except ValueError:
        raise SettingsError("FLEETMETER_MQTT_URL: the port is at most 65535") from None
    tls = _tls(settings) if url.scheme == "mqtts" else None
    if tls is None and (settings.mqtt_ca or settings.mqtt_cert):
        raise SettingsError(
            "FLEETMETER_MQTT_CA and _CERT are for TLS: FLEETMETER_MQTT_URL=mqtts://…"
        )
    is_version_5 = settings.mqtt_version == "5"
    share = settings.mqtt_share if is_version_5 and settings.mqtt_share != NO_SHARE else None
    return Broker(
        host=url.hostname or "",
        port=port,
        tls=tls,
        user=settings.mqtt_user,
        password=settings.mqtt_password,
        is_version_5=is_version_5,
        client_id=settings.mqtt_client_id,
        share=share,
        session_s=settings.mqtt_session_s,
        in_flight=settings.mqtt_in_flight,
    )


def _tls(settings: Settings) -> ssl.SSLContext:
    try:
        tls = ssl.create_default_context(cafile=settings.mqtt_ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"FLEETMETER_MQTT_CA: {settings.mqtt_ca} cannot be used: {error}"
        ) from None
    if settings.mqtt_cert is not None:
        try:
            tls.load_cert_chain(settings.mqtt_cert, settings.mqtt_cert_key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"FLEETMETER_MQTT_CERT: {settings.mqtt_cert} cannot be used: {error}"
            ) from None
    return tls
