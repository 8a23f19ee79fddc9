"""Librdkafka's security settings in aiokafka's words: `-X` means the same for every processor."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Whatever begins so decides who is talked to, and as whom: none of it may be passed over.
_ABOUT_SECURITY = ("security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl.", "https.")
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_TAKEN = frozenset(
    {
        "security.protocol",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.username",
        "sasl.password",
        "ssl.ca.location",
        "ssl.ca.pem",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
        "enable.ssl.certificate.verification",
    }
)


def security_of(properties: Mapping[str, str]) -> dict[str, Any]:  # Any: aiokafka's keywords
    """Return the keywords of aiokafka's clients that mean what `properties` say of security.

    What else they say tunes librdkafka and is passed over.

    Raises:
        ConfigError: Of a setting that aiokafka has no word for, every one by name.
    """
    given = {key: value for key, value in properties.items() if key.startswith(_ABOUT_SECURITY)}
    problems = [
        f"-X {key}: must be one of {', '.join(sorted(_TAKEN))} for this processor, whose client is "
        "aiokafka"
        for key in sorted(given.keys() - _TAKEN)
    ]
    protocol = given.get("security.protocol", "PLAINTEXT").upper()
    if protocol not in _PROTOCOLS:
        problems.append(
            f"-X security.protocol: must be one of {', '.join(_PROTOCOLS)}, was {protocol!r}"
        )
    found: dict[str, Any] = {"security_protocol": protocol}  # Any: as above
    if protocol.startswith("SASL"):
        found |= _sasl(given, problems)
    if protocol.endswith("SSL") and not problems:
        found["ssl_context"] = _context(given, problems)
    if problems:
        raise ConfigError(problems)
    return found


def _sasl(given: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    mechanism = given.get("sasl.mechanism") or given.get("sasl.mechanisms") or "GSSAPI"
    if mechanism not in _MECHANISMS:
        problems.append(
            f"-X sasl.mechanism: must be one of {', '.join(_MECHANISMS)} for this processor, was "
            f"{mechanism!r}"
        )
    problems += [
        f"-X {name}: must be given with {mechanism}, was not"
        for name in ("sasl.username", "sasl.password")
        if not given.get(name)
    ]
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": given.get("sasl.username", ""),
        "sasl_plain_password": given.get("sasl.password", ""),
    }


def _context(given: Mapping[str, str], problems: list[str]) -> ssl.SSLContext | None:
    """Return how the broker's certificate is verified, and which one is shown to it."""
    context = ssl.create_default_context()
    try:
        if place := given.get("ssl.ca.location"):
            context.load_verify_locations(place)
        if text := given.get("ssl.ca.pem"):
            context.load_verify_locations(cadata=text)
        if certificate := given.get("ssl.certificate.location"):
            key = given.get("ssl.key.location")
            context.load_cert_chain(certificate, key, given.get("ssl.key.password"))
    except (OSError, ssl.SSLError) as error:
        problems.append(f"-X ssl: certificates and keys must be readable, found {error}")
        return None
    if given.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        context.check_hostname = False
    if given.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
