"""What runs: Prefect flows and the ways in."""

import os

# Neither Prefect nor Ray may phone home. Set before either is imported, and left alone where a user chose.
for _name, _value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # 20 seconds by default; on a busy machine its start takes longer.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}.items():
    os.environ.setdefault(_name, _value)
