#include "host/canaries.h"

#include <fcntl.h>

#include <algorithm>

#include "base/ids.h"
#include "base/text.h"
#include "sys/files.h"

namespace tare::host {

namespace {
constexpr std::string_view kFolder = "canaries";
}

Result<Canaries> Canaries::open(int state) {
  Canaries canaries;
  TRY(sys::ensure_dir_at(state, kFolder, 0700));
  canaries.folder_ = TRY(sys::open_beneath(state, kFolder, O_RDONLY | O_DIRECTORY));
  for (const std::string& name : TRY(sys::list_dir(canaries.folder_.get(), ".")))
    TRY(canaries.take_up(name).context("state/canaries/" + name));
  return canaries;
}

Result<> Canaries::take_up(const std::string& name) {
  if (!is_name(name)) return sys::remove_at(folder_.get(), name);  // of a write that was cut short
  const sys::UniqueFd file = TRY(sys::open_beneath(folder_.get(), name, O_RDONLY));
  const struct stat status = TRY(sys::stat_fd(file.get()));
  Canary canary;
  canary.value = TRY(sys::read_all(file.get(), snapshot::kMaxNeedleBytes));
  TRY(snapshot::check_needle({name, canary.value}));
  canary.info = {
      name, canary.value.size(),
      static_cast<std::uint64_t>(std::max<std::int64_t>(status.st_mtim.tv_sec, 0)) * 1000};
  canaries_[name] = std::move(canary);
  return ok();
}

Result<CanaryInfo> Canaries::add(const std::string& name, const std::string& value,
                                 const Clock& clock) {
  TRY(check_name("name", name));
  TRY(snapshot::check_needle({name, value}));
  if (const auto found = canaries_.find(name); found != canaries_.end()) {
    if (found->second.value == value) return found->second.info;
    return Error{Errc::conflict,
                 "canary " + quote(name) + " has another value; `tare canary rm` removes it", 0,
                 "name"};
  }
  if (canaries_.size() >= kMaxCanaries)
    return Error{Errc::exhausted, "there are 64 canaries, as many as may be"};
  TRY(sys::write_file_atomic(folder_.get(), name, value, 0600));
  Canary& canary = canaries_[name];
  canary.value = value;
  canary.info = {name, value.size(), clock.wall_ms()};
  return canary.info;
}

std::vector<CanaryInfo> Canaries::list() const {
  std::vector<CanaryInfo> all;
  for (const auto& [name, canary] : canaries_) all.push_back(canary.info);
  return all;
}

Result<> Canaries::remove(const std::string& name) {
  const auto found = canaries_.find(name);
  if (found == canaries_.end())
    return Error{Errc::not_found, "there is no canary named " + quote(name)};
  TRY(sys::remove_at(folder_.get(), name));
  TRY(sys::sync_fd(folder_.get()));
  std::ranges::fill(found->second.value, '\0');
  canaries_.erase(found);
  return ok();
}

std::vector<snapshot::Needle> Canaries::secrets() const {
  std::vector<snapshot::Needle> all;
  for (const auto& [name, canary] : canaries_) all.push_back({name, canary.value});
  return all;
}

}  // namespace tare::host
