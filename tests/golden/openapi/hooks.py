"""What schemathesis is told beside its configuration (tests/it/serve_openapi.rs)."""

import schemathesis

# Lines of JSON are sent as the text that they are.
schemathesis.serializer.alias("application/x-ndjson", "text/plain")
