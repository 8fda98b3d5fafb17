# Sourced by the `run` of a suite in Python, with the name of the module to run. Keeps a virtual environment with the
# pinned packages of the suite's requirements.txt in target/clients/<suite>.

suite_folder=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
suite_name=$(basename "$suite_folder")
repository=$(cd "$suite_folder/../../.." && pwd)
venv=$repository/target/clients/$suite_name/venv

build() {
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$suite_name: python3 with venv is missing" >&2
        exit 3
    fi
    # The stamp is written last, so a broken installation is made again.
    cmp -s "$suite_folder/requirements.txt" "$venv/requirements.txt" && return
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$suite_folder/requirements.txt"
    cp "$suite_folder/requirements.txt" "$venv/requirements.txt"
}

run_module() {
    build >&2
    [[ ${1:-} == --build ]] && exit
    PYTHONPATH=$repository/tests exec "$venv/bin/python" -m "$module" "$@"
}
