#!/bin/bash
# Starts the service in a container of its own: fetches what is missing of the embedded models, then
# listens on every address, on $PORT. The service itself refuses to do so without API keys.
set -euo pipefail
config=$1
if [ -w "$BAEWOO_MODELS" ]; then
  python -m models.fetch
fi
sed 's/^  host: 127\.0\.0\.1$/  host: 0.0.0.0/' "$config" > /tmp/serve_config.yaml
exec python -m serve_app /tmp/serve_config.yaml
