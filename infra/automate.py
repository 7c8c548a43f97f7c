"""Create the automations of automations.yaml and the webhook they tell: `ATELIER_WEBHOOK=URL python -m infra.automate`.

The URL often opens a door by itself, so it is read from the environment and kept among the block's secrets. What it is
sent is JSON with a `text`, as Slack and Mattermost read it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore

BLOCK = "atelier-webhook"
PLACE = "${WEBHOOK_BLOCK}"


def main() -> None:
    """Create them, or replace those that are there; prints their names."""
    url = os.environ.get("ATELIER_WEBHOOK", "")
    if not url.startswith(("http://", "https://")):
        sys.exit("Set ATELIER_WEBHOOK to the http(s) URL that notifications go to.")
    block = save_webhook(url)
    with get_client(sync_client=True) as client:
        for automation in read_automations(block):
            replace(client, automation)
            sys.stdout.write(f"{automation.name}\n")


def save_webhook(url: str) -> str:
    """Save the notification block, over an earlier one; gives its id."""
    webhook = CustomWebhookNotificationBlock(
        name="Atelier",
        url="{{url}}",
        json_data={"text": "{{subject}}\n{{body}}"},
        secrets={"url": url},
    )
    return str(webhook.save(BLOCK, overwrite=True, _sync=True))


def read_automations(block: str) -> list[AutomationCore]:
    """The automations of automations.yaml, telling a notification block."""
    text = Path(__file__).with_name("automations.yaml").read_text(encoding="utf-8")
    found = yaml.safe_load(text.replace(PLACE, block))["automations"]
    return [AutomationCore.model_validate(one) for one in found]


def replace(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Create an automation, in the place of those with its name."""
    body = {"automations": {"name": {"any_": [automation.name]}}}
    for old in client.request("POST", "/automations/filter", json=body).json():
        client.request("DELETE", "/automations/{id}", path_params={"id": old["id"]})
    client.request("POST", "/automations/", json=automation.model_dump(mode="json"))


if __name__ == "__main__":
    main()
