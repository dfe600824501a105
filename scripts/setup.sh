# Shared by demo, test, check and bench: make .venv what locks/ROLE.txt says, once.
#
# Sourced, with the working folder at the repository's root. Beyond .venv and METERSEAL_CACHE nothing
# is written; packages of the system are named before apt is called, and only apt installs them.

METERSEAL_CACHE=${METERSEAL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/meterseal}
export METERSEAL_CACHE

# need_packages WHY PACKAGE...: install what is missing by apt, or print the command and fail.
need_packages() {
  local why=$1 missing=() package; shift
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local -a run=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}")
  if ! command -v apt-get >/dev/null; then
    echo "$why needs ${missing[*]}; this is no Debian: install them by hand, then run this again." >&2
    return 1
  fi
  local -a as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if sudo -n true 2>/dev/null; then as_root=(sudo); else
      echo "$why needs ${missing[*]}. Run this once, then this script again:" >&2
      echo "  sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
      return 1
    fi
  fi
  echo "Installing with apt, for $why: ${missing[*]}"
  # Fresh machines have no package lists, and old lists name files that are gone.
  "${as_root[@]}" "${run[@]}" >/dev/null 2>&1 || {
    "${as_root[@]}" apt-get update -qq && "${as_root[@]}" "${run[@]}" >/dev/null
  } || { echo "apt could not install ${missing[*]}; its message is above." >&2; return 1; }
  # Debian starts a broker that is installed; the tests start their own, on ports of their own.
  case " ${missing[*]} " in *" mosquitto "*)
    if [ -d /run/systemd/system ]; then "${as_root[@]}" systemctl disable -q --now mosquitto.service || true; fi ;;
  esac
}

# setup_venv ROLE: .venv holds at least the locked packages of the role, and this checkout.
setup_venv() {
  local role=$1 lock stamp
  lock="locks/$role.txt"
  stamp=".venv/.meterseal-$role-$(cat "$lock" pyproject.toml | sha256sum | cut -c1-16)"
  [ -e "$stamp" ] && return 0
  local python
  for python in python3 python3.13 python3.12 python3.11; do
    "$python" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && break
    python=
  done
  if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    need_packages "the virtual environment .venv" python3 python3-venv || return 1
    python=python3
  fi
  echo "Setting up .venv from $lock (once; a minute or so)"
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "$lock" &&
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e . || {
    echo "pip could not install $lock; its message is above. Nothing outside .venv was changed." >&2
    return 1
  }
  rm -f ".venv/.meterseal-$role-"*
  : >"$stamp"
}
