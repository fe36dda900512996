#!/bin/sh
# rustdoc with its unstable output as JSON. Set for cargo, the variable would make build scripts run again, and with them
# most of the dependencies be built again.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
