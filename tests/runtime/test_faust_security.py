"""Librdkafka's security settings in aiokafka's words."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from tidemill.kernel.errors import ConfigError
from tidemill.runtime.faust_security import security_of

if TYPE_CHECKING:
    from pathlib import Path

SCRAM = {
    "security.protocol": "sasl_ssl",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "feedback",
    "sasl.password": "secret",
}


def test_without_settings_nothing_is_secured() -> None:
    assert security_of({}) == {"security_protocol": "PLAINTEXT"}


def test_what_tunes_librdkafka_is_passed_over() -> None:
    assert security_of({"linger.ms": "5", "batch.size": "1"}) == {"security_protocol": "PLAINTEXT"}


def test_user_and_password_are_handed_over_and_certificates_verified() -> None:
    found = security_of(SCRAM)
    context = found.pop("ssl_context")

    assert found == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "feedback",
        "sasl_plain_password": "secret",
    }
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_verification_is_off_only_where_that_is_asked_for() -> None:
    unnamed = security_of({**SCRAM, "ssl.endpoint.identification.algorithm": "none"})
    unverified = security_of({**SCRAM, "enable.ssl.certificate.verification": "false"})

    assert not unnamed["ssl_context"].check_hostname
    assert unnamed["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert unverified["ssl_context"].verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"security.protocol": "TLS"}, "security.protocol"),
        ({"security.protocol": "SASL_PLAINTEXT"}, "sasl.mechanism"),
        ({**SCRAM, "sasl.mechanism": "OAUTHBEARER"}, "sasl.mechanism"),
        ({**SCRAM, "sasl.password": ""}, "sasl.password"),
        ({"ssl.keystore.location": "store.p12"}, "ssl.keystore.location"),
        ({"sasl.oauthbearer.config": "x"}, "sasl.oauthbearer.config"),
        ({"enable.sasl.oauthbearer.unsecure.jwt": "true"}, "enable.sasl.oauthbearer"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(given: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=f"-X {named}"):
        security_of(given)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="-X ssl: certificates and keys"):
        security_of({"security.protocol": "SSL", "ssl.ca.location": str(tmp_path / "none.pem")})
