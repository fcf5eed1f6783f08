"""Planted: hosts that cannot be reached."""

import socket

from tests.integration.doctor.conftest import SUBDOMAIN
from tests.integration.doctor.planting import Resources, World, plant
from tests.integration.doctor.proxy import connect_proxy, mute_server


@plant("name", "no_such_host", "no server has this name")
def host_that_does_not_exist(world: World) -> Resources:
    return {"east": world.azure.east(endpoint="https://contoso-east.invalid")}


@plant("file", "unusable_settings", "cannot start")
def host_with_two_dots(world: World) -> Resources:
    return {"east": world.azure.east(endpoint="https://contoso..openai.azure.com")}


@plant("connection", "connection_refused", "nothing listens")
def port_that_is_closed(world: World) -> Resources:
    return {"east": world.azure.east(endpoint=f"https://127.0.0.1:{world.closed_port}")}


@plant("tls", "unknown_ca", "smalt emulator, for tests only")
def certificate_of_an_unknown_authority(world: World) -> Resources:
    world.azure.patch.delenv("SSL_CERT_FILE")
    return {"east": world.azure.east()}


@plant("tls", "intercepted", "something on the way opens the connection")
def interception_by_a_corporate_proxy(world: World) -> Resources:
    world.azure.patch.delenv("SSL_CERT_FILE")
    world.azure.names[SUBDOMAIN] = ["127.0.0.1"]
    return {"east": world.azure.east(endpoint=f"https://{SUBDOMAIN}:{world.azure.port('east')}")}


@plant("tls", "other_name", "for other names than alias.example.com")
def certificate_of_another_name(world: World) -> Resources:
    world.azure.names["alias.example.com"] = ["127.0.0.1"]
    return {"east": world.azure.east(endpoint=f"https://alias.example.com:{world.azure.port('east')}")}


@plant("tls", "speaks_https", "speaks https")
def http_where_https_is_spoken(world: World) -> Resources:
    return {"east": world.azure.east(endpoint=f"http://127.0.0.1:{world.azure.port('east')}")}


@plant("tls", "speaks_http", "speaks http")
def https_where_http_is_spoken(world: World) -> Resources:
    port = world.plain.state()["resources"]["east"]["port"]
    return {"east": world.azure.east(endpoint=f"https://127.0.0.1:{port}")}


@plant("proxy", "private_through_proxy", "a private endpoint lies in this network", is_warning=True)
def private_address_through_a_proxy(world: World) -> Resources:
    azure = world.azure
    azure.names[SUBDOMAIN] = ["10.1.2.3"]
    azure.patch.setenv("HTTPS_PROXY", connect_proxy({SUBDOMAIN: "127.0.0.1"}))
    return {"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")}


@plant("proxy", "proxy_unreachable", "the proxy itself")
def proxy_that_is_down(world: World) -> Resources:
    azure = world.azure
    azure.names[SUBDOMAIN] = ["20.1.2.3"]
    azure.patch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{world.closed_port}")
    return {"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")}


@plant("proxy", "proxy_unreachable", "the proxy itself")
def proxy_that_no_name_can_be(world: World) -> Resources:
    azure = world.azure
    azure.names[SUBDOMAIN] = ["20.1.2.3"]
    azure.patch.setenv("HTTPS_PROXY", "http://proxy..contoso.com:3128")
    return {"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")}


@plant("proxy", "proxy_forbids", "does not let this host through")
def proxy_that_forbids_the_host(world: World) -> Resources:
    azure = world.azure
    azure.patch.setenv("HTTPS_PROXY", connect_proxy({}))
    azure.names[SUBDOMAIN] = ["20.1.2.3"]
    return {"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")}


@plant("proxy", "proxy_credentials", "a user and a password")
def proxy_that_wants_a_password(world: World) -> Resources:
    azure = world.azure
    azure.names[SUBDOMAIN] = ["20.1.2.3"]
    azure.patch.setenv("HTTPS_PROXY", connect_proxy({}, refusal="407 Proxy Authentication Required"))
    return {"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")}


@plant("name", "dns_unavailable", "no DNS server")
def dns_that_is_down(world: World) -> Resources:
    def fail(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    world.azure.around["resolve"] = fail
    return {"east": world.azure.east()}


@plant("tls", "handshake_failed", "broken off")
def server_that_drops_the_handshake(world: World) -> Resources:
    return {"east": world.azure.east(endpoint=f"https://127.0.0.1:{mute_server()}")}


@plant("connection", "no_answer", "broke off")
def server_that_drops_the_request(world: World) -> Resources:
    world.azure.handle.fault("close", at="before_head")
    return {"east": world.azure.east()}


@plant("connection", "answer_timeout", "says nothing")
def server_that_is_silent(world: World) -> Resources:
    world.azure.handle.set("east", "hang")
    world.azure.around["timeout_s"] = 0.5
    return {"east": world.azure.east()}


@plant("endpoint", "redirected", "credentials do not follow")
def endpoint_that_redirects(world: World) -> Resources:
    world.azure.handle.fault("redirect", to="sweden")
    return {"east": world.azure.east()}


@plant("endpoint", "wrong_path", "a path too many")
def endpoint_with_a_path_too_many(world: World) -> Resources:
    both = {"gpt-4o-prod": {"model": "gpt-4o"}, "cheap": {"model": "gpt-4o-mini"}}
    return {"east": world.azure.east(both, endpoint=f"{world.azure.handle.url('east')}/team")}


@plant("deployment", "service_error", "cannot serve now")
def service_that_is_not_well(world: World) -> Resources:
    world.azure.handle.set("east", "error", error="server_error")
    return {"east": world.azure.east()}


@plant("endpoint", "privatelink", "no certificate is for a privatelink name")
def privatelink_in_the_endpoint(world: World) -> Resources:
    world.azure.names[SUBDOMAIN] = ["127.0.0.1"]
    host = SUBDOMAIN.replace(".openai.", ".privatelink.openai.")
    return {"east": world.azure.east(endpoint=f"https://{host}:{world.azure.port('east')}")}


@plant("endpoint", "missing_v1", "under /v1")
def proxy_without_v1(world: World) -> Resources:
    return {"proxy": world.azure.east(kind="openai", endpoint=f"{world.azure.handle.url('east')}/openai")}
