# Builds and starts a suite in JavaScript; sourced by the `run` of each:
#
#   suite NAME [--build | CHECK_ID...]
#
# NAME is the folder below tests/clients. Its packages are kept in target/clients/NAME.

readonly CLIENTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly TOOLCHAIN_MISSING=3
readonly OLDEST_NODE=20

suite() {
    local name=$1
    shift
    # Packages with a native part are compiled where no binary for this machine can be fetched.
    require "$name" node npm python3 cc c++ make
    (($(node -p 'process.versions.node.split(".")[0]') >= OLDEST_NODE)) ||
        missing "$name: node is older than version $OLDEST_NODE"
    mkdir -p "$CLIENTS/../../target/clients/$name"
    local target
    target=$(cd "$CLIENTS/../../target/clients/$name" && pwd)
    # The stamp is written last, so a broken installation is made again.
    cmp -s "$CLIENTS/$name/package-lock.json" "$target/installed" || install "$name" "$target" >&2
    [[ ${1:-} == --build ]] && exit
    NODE_PATH=$target/node_modules exec node "$CLIENTS/$name/main.js" "$@"
}

require() {
    local name=$1 program
    shift
    for program in "$@"; do
        command -v "$program" >/dev/null || missing "$name: $program is not installed"
    done
}

missing() {
    echo "$1" >&2
    exit "$TOOLCHAIN_MISSING"
}

install() {
    local name=$1 target=$2
    cp "$CLIENTS/$name/package.json" "$CLIENTS/$name/package-lock.json" "$target"
    # Builds that start as many compilers as there are files wait for each other.
    MAKEFLAGS=-l$(nproc) npm ci --prefix "$target" --cache "$target/cache" --foreground-scripts
    cp "$CLIENTS/$name/package-lock.json" "$target/installed"
}
