"""The webhook, against a real receiver and against ones that fail."""

import logging

import pytest
from receiver import Receiver

from stages.flow.notify import Webhook

LOG = logging.getLogger("test")


def test_an_event_arrives_with_text_and_numbers(receiver: Receiver) -> None:
    Webhook(receiver.url, LOG).send("finished", "all is well", {"metrics": {"map": 0.5}})
    assert receiver.received == [
        {"event": "finished", "text": "all is well", "metrics": {"map": 0.5}}
    ]


def test_trouble_is_logged_without_the_address_and_raises_nothing(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = 500
    Webhook(receiver.url, LOG).send("failed", "x", {})
    assert "could not be delivered: the receiver answered 500" in caplog.text
    for url in ("http://127.0.0.1:9/secret-path", "secret-path", "http://no.invalid/secret-path"):
        Webhook(url, LOG).send("failed", "x", {})
    assert len(caplog.records) == 4
    assert "secret-path" not in caplog.text


def test_without_an_address_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    Webhook(None, LOG).send("failed", "x", {})
    assert caplog.text == ""
