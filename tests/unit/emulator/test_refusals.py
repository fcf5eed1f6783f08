from smalt.emulator.refusals import catalogue, invalid_request, named


def test_every_answer_of_the_catalogue_can_be_sent() -> None:
    """WebSocket messages are left out, everything else has a status and bytes."""
    assert "ws_connection_limit" not in catalogue()
    assert len(catalogue()) > 40
    for canned in catalogue().values():
        assert canned.status >= 200
        assert isinstance(canned.payload, bytes)


def test_a_payload_is_json_text_or_nothing() -> None:
    """Objects become JSON, texts stay as they are, streams are taken raw."""
    assert catalogue()["resource_not_found"].payload.startswith(b'{"error":')
    assert catalogue()["bad_gateway_html"].payload.startswith(b"<html>")
    assert catalogue()["gateway_timeout"].payload == b""
    assert catalogue()["stream_filtered_default"].payload.endswith(b"data: [DONE]\n\n")


def test_only_the_cut_stream_is_cut() -> None:
    """The connection drops after one of the streams."""
    assert [name for name, canned in catalogue().items() if canned.cut] == ["stream_cut"]


def test_an_example_can_be_made_concrete() -> None:
    """Headers and members of the error are replaced, the catalogue keeps its own."""
    canned = named("rate_limit_tokens_classic", headers={"retry-after": "9"}, message="wait").canned
    assert (canned.headers["retry-after"], canned.body["error"]) == ("9", {"code": "429", "message": "wait"})
    assert catalogue()["rate_limit_tokens_classic"].headers["retry-after"] == "7"


def test_an_invalid_request_has_openais_shape() -> None:
    """Four members, of which two may be null."""
    assert invalid_request("no").canned.body == {
        "error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}
    }
