#!/bin/sh
# Installs braid-spark with all that it needs on Debian or Ubuntu: Java, Python and PySpark. Run it as root or with sudo.
#
#   sh install.sh WHEEL     from a wheel that `cargo xtask python` built: no compiler is needed
#   sh install.sh           from the source tree that this script lies in: needs Rust and a C compiler
#
# BRAID_HOME is where the packages go, by default /opt/braid-spark; BRAID_BIN where the commands go, by default
# /usr/local/bin.
set -eu

home=${BRAID_HOME:-/opt/braid-spark}
bin=${BRAID_BIN:-/usr/local/bin}
here=$(cd "$(dirname "$0")" && pwd)
source=${1:-}

say() { echo "install.sh: $*"; }

# Whether Spark finds a Java that it can use; it looks at JAVA_HOME before PATH.
new_java() {
    java=java
    [ -z "${JAVA_HOME:-}" ] || java=$JAVA_HOME/bin/java
    # Before version 9 it was called 1.8.
    found=$("$java" -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9][0-9]*\).*/\2/p')
    [ "${found:-0}" -ge 17 ]
}

if [ -n "${JAVA_HOME:-}" ] && ! new_java; then
    echo "install.sh: JAVA_HOME is $JAVA_HOME, Java ${found:-of no version}: Spark needs 17 or newer: change or unset it" >&2
    exit 2
fi
missing=
new_java || missing="$missing default-jre-headless"
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3 python3-venv"
# Spark's own scripts look for it.
command -v ps >/dev/null || missing="$missing procps"
if [ -z "$source" ]; then
    command -v cc >/dev/null || missing="$missing gcc libc6-dev"
    if ! command -v cargo >/dev/null; then
        echo "install.sh: without a wheel this builds from source: install Rust 1.95 or newer, or give it a wheel" >&2
        exit 2
    fi
    source=$(dirname "$here")
fi
if [ -n "$missing" ]; then
    say "installing from Debian's packages:$missing"
    apt-get update -q
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
    if ! new_java; then
        echo "install.sh: found Java ${found:-of no version}, Spark needs 17 or newer: install it and set JAVA_HOME" >&2
        exit 2
    fi
fi
say "making an environment of Python in $home"
python3 -m venv "$home"
home=$(cd "$home" && pwd)
pip() { "$home/bin/pip" "$@" --quiet --disable-pip-version-check --no-cache-dir; }
say "installing $source with PySpark, some 500 MB"
pip install "${source}[spark]"
# Another build of a version that is there already.
pip install --force-reinstall --no-deps "$source"
mkdir -p "$bin"
say "writing the commands braid-spark and spark-submit into $bin"
for command in braid-spark spark-submit; do
    # No link: Spark's own scripts look for each other beside the name that they are called by.
    rm -f "$bin/$command"
    cat >"$bin/$command" <<EOF
#!/bin/sh
export PYSPARK_PYTHON="\${PYSPARK_PYTHON:-$home/bin/python}"
exec "$home/bin/$command" "\$@"
EOF
    chmod 755 "$bin/$command"
done
# For `spark-submit` and the Spark operator, which name an application by its path.
cp "$("$home/bin/python" -c 'import braid_evm.spark.submit as it; print(it.__file__)')" "$home/submit.py"
"$bin/braid-spark" --help >/dev/null
if ! found=$("$bin/spark-submit" --version 2>&1); then
    echo "install.sh: $bin/spark-submit does not start: $found" >&2
    exit 1
fi
say "braid-spark is there: braid-spark --help"
