# Builds and starts a suite in Go; sourced by the `run` of each:
#
#   suite NAME [--build | CHECK_ID...]
#
# NAME is the folder below tests/clients. Modules and compiled packages are kept in target/clients/go for all of them.

readonly CLIENTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly TOOLCHAIN_MISSING=3

suite() {
    local name=$1
    shift
    command -v go >/dev/null || { echo "$name: go is not installed" >&2; exit "$TOOLCHAIN_MISSING"; }
    mkdir -p "$CLIENTS/../../target/clients/$name"
    local target
    target=$(cd "$CLIENTS/../../target/clients" && pwd)
    # Modules that may be removed with the rest of target.
    GOMODCACHE=$target/go/modules GOCACHE=$target/go/build GOFLAGS=-modcacherw CGO_ENABLED=0 \
        go build -C "$CLIENTS/$name" -buildvcs=false -o "$target/$name/suite" . >&2
    [[ ${1:-} == --build ]] && exit
    exec "$target/$name/suite" "$@"
}
