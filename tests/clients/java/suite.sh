# Builds and starts a suite in Java; sourced by the `run` of each:
#
#   suite NAME PROJECT MAIN_CLASS [MAVEN_ARGUMENT...] -- [--build | CHECK_ID...]
#
# NAME is the folder below target/clients, PROJECT the one below tests/clients that holds the pom.xml.

readonly CLIENTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly TOOLCHAIN_MISSING=3
# A small and short life: little heap, the fastest compiler.
readonly JVM_FLAGS=(-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn)

suite() {
    local name=$1 project=$CLIENTS/$2 main=$3
    local out=$CLIENTS/../../target/clients/$name
    shift 3
    local maven_arguments=()
    while [[ $1 != -- ]]; do
        maven_arguments+=("$1")
        shift
    done
    shift

    require java javac mvn
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    is_built "$project" "$out" || build "$project" "$out" ${maven_arguments[@]+"${maven_arguments[@]}"}
    [[ ${1:-} == --build ]] && exit
    # Native libraries, stores and files of the run, gone with the next.
    rm -rf "$out/tmp"
    mkdir "$out/tmp"
    exec java "${JVM_FLAGS[@]}" "-Djava.io.tmpdir=$out/tmp" -cp "$out/classes:$out/lib/*" "$main" "$@"
}

require() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null && continue
        echo "$program is not installed" >&2
        exit "$TOOLCHAIN_MISSING"
    done
}

# Whether nothing changed since the last build.
is_built() {
    local project=$1 out=$2
    [[ -e $out/built ]] || return 1
    [[ -z $(find "$project" "$CLIENTS/java" -type f -newer "$out/built" -print -quit) ]]
}

build() {
    local project=$1 out=$2
    shift 2
    rm -rf "$out/classes" "$out/lib"
    mvn --quiet --batch-mode -f "$project/pom.xml" "-Dout=$out" "$@" process-classes >&2
    touch "$out/built"
}
