#include "host/debian_build.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/bytes.h"

namespace tare::host {

namespace {

constexpr std::string_view kErrorMark = "E: ";
constexpr std::string_view kBuild = "build";

// $1: the suite, $2: packages, comma-separated, perhaps none. Says what it does on stderr; the
// image goes to stdout.
//
// - The mirror is Debian's own, unless this host's sources name only others: then those that have
// the suite.
// - Packages that nobody knows are told before the base is installed, which takes longest.
// - Manuals, documents and translations are left out, copyright files are kept.
// - The user `agent` is in the image, so that no file has to be copied for it at each run.
// - What depends on the moment of the build is taken out: logs, caches, and times. No file is newer
// than the newest one
//   that came in a package (files that were there before /etc/hostname, which is made when a
//   sandbox starts): with the same packages the image has the same digest, and compiled Python
//   files still fit their sources.
constexpr const char* kScript = R"sh(
set -eu
suite=$1 packages=$2 root=/tmp/image
set -- --mode=root --variant=essential --format=directory --skip=output/dev,output/mknod
if [ -n "$packages" ]; then
  names=$(echo "$packages" | tr , ' ')
  set -- "$@" "--include=$packages" "--extract-hook=test ! -e \"\$MMDEBSTRAP_APT_CONFIG\" ||
    ! APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG apt-get --simulate install $names 2>&1 |
    grep '^E: Unable to locate package' >&2"
fi
for path in man doc locale info lintian bug gtk-doc; do
  set -- "$@" "--dpkgopt=path-exclude=/usr/share/$path/*"
done
set -- "$@" "--dpkgopt=path-include=/usr/share/doc/*/copyright" --dpkgopt=force-unsafe-io
set -- "$@" '--aptopt=APT::Install-Recommends "false"' '--aptopt=Acquire::Languages "none"'
set -- "$@" "$suite" "$root"
if ! grep -qsr 'deb\.debian\.org' /etc/apt/sources.list /etc/apt/sources.list.d; then
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    if grep -qsE "(^|[[:space:]])$suite([[:space:]]|\$)" "$file"; then set -- "$@" "$file"; fi
  done
fi
mmdebstrap "$@" </dev/null >&2

echo 'agent:x:1000:1000:agent:/home/agent:/bin/sh' >>"$root/etc/passwd"
echo 'agent:x:1000:' >>"$root/etc/group"
mkdir -p "$root/home/agent" && chown 1000:1000 "$root/home/agent"
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"  # those of the sandbox
for name in passwd group shadow gshadow; do rm -f "$root/etc/$name-"; done
for name in lib/apt/lists cache/ldconfig cache/debconf cache/fontconfig; do
  rm -rf "$root/var/$name"
done
find "$root/var/log" "$root/var/cache" "$root/run" "$root/tmp" -mindepth 1 -not -type d -delete
newest=$(find "$root" -xdev -type f -not -newer /etc/hostname -printf '%T@\n' | sort -n | tail -n 1)
# "Last changed", in days, of every account: the day of the build.
if [ -e "$root/etc/shadow" ]; then
  sed -i -E "s/^([^:]*:[^:]*):[0-9]+:/\\1:$((${newest%.*} / 86400)):/" "$root/etc/shadow"
fi
echo "I: the image is packed" >&2
exec tar --create --file=- --directory="$root" --sort=name --numeric-owner --one-file-system \
  --format=pax --pax-option=delete=atime,delete=ctime "--mtime=@${newest%.*}" --clamp-mtime .
)sh";

constexpr std::size_t kMostErrors = 3;

// What mmdebstrap says of the programs it runs, after they have said why.
bool is_echo(std::string_view line) {
  return line.starts_with("E: setup failed") || line.ends_with(" failed") ||
         line.ends_with(" failed to run");
}

std::vector<std::string_view> error_lines(std::string_view text) {
  std::vector<std::string_view> all, causes;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with(kErrorMark)) continue;
    all.push_back(line);
    if (!is_echo(line)) causes.push_back(line);
  }
  if (causes.empty() && !all.empty()) causes.push_back(all.front());
  return causes;
}

}  // namespace

Result<model::RunRequest> debian_build(const model::EnvironmentSource& source) {
  CHECK(source.kind == model::EnvironmentSource::Kind::debian);
  std::string packages;
  for (const std::string& package : source.packages) {
    if (!packages.empty()) packages += ',';
    packages += package;
  }
  model::RunRequest request;
  request.environment = "host";
  request.argv = {"sh", "-c", kScript, "tare-build", source.suite, packages};
  request.user = "root";
  request.profile = "build";
  request.limits = kBuildLimits;
  return request;
}

std::string build_failure(std::string_view verb, std::string_view stderr_end, int exit_code) {
  auto errors = error_lines(stderr_end);
  if (errors.empty()) {
    return fmt::format("the {} failed with status {}; see its log", verb, exit_code);
  }
  if (verb != kBuild)  // a program of ours: "failed" says all that its mark does
    for (std::string_view& error : errors) error.remove_prefix(kErrorMark.size());
  const std::size_t more = errors.size() > kMostErrors ? errors.size() - kMostErrors : 0;
  errors.resize(errors.size() - more);
  return fmt::format("the {} failed: {}{}", verb, fmt::join(errors, "; "),
                     more > 0 ? fmt::format("; and {} more errors", more) : std::string());
}

}  // namespace tare::host
