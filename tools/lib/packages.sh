# shellcheck shell=bash
# Debian packages: which are missing, how large they are, and how to install them. Sourced by tools/setup.

declare -A INSTALLED=()  # package -> installed version

# load_installed: fills INSTALLED in one call of dpkg-query, which takes a fiftieth of a second.
load_installed() {
  local status package version provides
  while read -r status package version provides; do
    [[ $status == ii || $status == hi ]] || continue
    INSTALLED[$package]=$version
    # Another package may stand in for it, as nodejs of some sources does for npm, and then conflicts with it.
    for package in ${provides//,/ }; do
      if [[ $package =~ ^[a-z0-9][a-z0-9.+-]+$ ]]; then INSTALLED[$package]=${INSTALLED[$package]:-$version}; fi
    done
  done < <(dpkg-query -W -f='${db:Status-Abbrev} ${Package} ${Version} ${Provides}\n' 2>/dev/null)
  return 0
}

# meets VERSION RELATION WANTED: whether a version passes "(>= 1.81)"; an empty relation always passes.
meets() {
  [[ -z $2 ]] || dpkg --compare-versions "$1" "$2" "$3"
}

candidate_version() {
  apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# missing_of LINE: nothing where one alternative is installed, else the first that can be installed (or
# the first named, where the package lists are not there yet).
missing_of() {
  local -a names=() relations=() wanted=() alternatives
  local alternative i version
  IFS='|' read -ra alternatives <<<"$1"
  for alternative in "${alternatives[@]}"; do
    [[ $alternative =~ ^\ *([a-z0-9.+-]+)\ *(\(([<>=]+)\ *([^\)]+)\))?\ *$ ]] ||
      die "tools/packages: cannot read the line '$1'."
    names+=("${BASH_REMATCH[1]}")
    relations+=("${BASH_REMATCH[3]}")
    wanted+=("${BASH_REMATCH[4]}")
  done
  for i in "${!names[@]}"; do
    version=${INSTALLED[${names[i]}]:-}
    if [[ -n $version ]] && meets "$version" "${relations[i]}" "${wanted[i]}"; then return 0; fi
  done
  for i in "${!names[@]}"; do
    version=$(candidate_version "${names[i]}")
    if [[ -n $version ]] && meets "$version" "${relations[i]}" "${wanted[i]}"; then
      echo "${names[i]}"
      return 0
    fi
  done
  echo "${names[0]}"
}

# missing_packages FILE...: the packages to install for these lists, one a line.
missing_packages() {
  local line
  while IFS= read -r line; do
    line=${line%%#*}
    [[ -z ${line//[[:space:]]/} ]] || missing_of "$line"
  done < <(cat -- "$@")
}

# download_megabytes PACKAGE...: what apt-get would fetch, dependencies included; 0 where it cannot tell.
download_megabytes() {
  { apt-get --print-uris --yes --no-install-recommends install "$@" 2>/dev/null || true; } |
    awk '/^\x27/ { bytes += $3 } END { printf "%d\n", (bytes + 999999) / 1000000 }'
}

have_package_lists() {
  compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null
}

# as_root COMMAND...: through sudo where we are not root.
as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    sudo -- "$@"
  fi
}

APT=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3
  -o Dpkg::Progress-Fancy=1)

# update_lists: a single broken third-party source must not stop us: what counts is whether packages are found.
update_lists() {
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    die "sudo is not installed and this is not root. Ask an administrator to run
  apt-get install --no-install-recommends ${MISSING_PACKAGES[*]}
and then start this again."
  fi
  as_root "${APT[@]}" update ||
    note "Some package lists could not be renewed; going on with those that are here."
}

# install_packages PACKAGE...: one clear sentence where it fails.
install_packages() {
  as_root "${APT[@]}" install --yes --no-install-recommends "$@" ||
    die "apt-get could not install the packages above. If the network or a proxy is at fault, set it in
/etc/apt/apt.conf.d; if a package was not found, check that this is Debian 12 or 13. Then start this again."
}
