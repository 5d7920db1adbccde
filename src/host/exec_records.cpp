#include "host/exec_records.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "model/exec_json.h"
#include "sys/files.h"
#include "sys/sync_many.h"

namespace tare::host {

namespace {

constexpr std::size_t kMaxRecordBytes = std::size_t{2} << 20;

}  // namespace

std::string ExecRecords::folder(const std::string& run, std::uint32_t number) {
  return run + "/exec/" + std::to_string(number);
}

Result<> ExecRecords::create(const model::Exec& exec) const {
  TRY(sys::ensure_dir_at(runs_dir_, exec.run, 0700));
  TRY(sys::ensure_dir_at(runs_dir_, exec.run + "/exec", 0700));
  TRY(sys::make_dir_at(runs_dir_, folder(exec.run, exec.number), 0700));
  return save(exec);
}

Result<> ExecRecords::save(const model::Exec& exec) const {
  return sys::replace_file(runs_dir_, folder(exec.run, exec.number) + "/exec.json",
                           to_text(model::to_json(exec)) + "\n", 0600);
}

Result<> ExecRecords::sync(const model::Exec& exec) const {
  const std::string own = folder(exec.run, exec.number);
  std::vector<sys::UniqueFd> open;
  for (const std::string& path : {own + "/exec.json", own, exec.run + "/exec", exec.run})
    open.push_back(TRY(sys::open_at(runs_dir_, path, O_RDONLY)));
  std::vector<int> fds = {runs_dir_};
  for (const sys::UniqueFd& fd : open) fds.push_back(fd.get());
  return sys::sync_fds(fds);
}

Result<model::Exec> ExecRecords::load(const std::string& run, std::uint32_t number) const {
  auto text = sys::read_file_at(runs_dir_, folder(run, number) + "/exec.json", kMaxRecordBytes);
  if (!text) {
    return Error{Errc::not_found, "run " + run + " has no exec " + std::to_string(number) +
                                      " (the newest " + std::to_string(kMaxKeptExecs) +
                                      " are kept)"};
  }
  const Json json = TRY(parse_json(*text, {.max_bytes = kMaxRecordBytes}).context("exec.json"));
  return model::exec_from_json(json);
}

Result<std::vector<std::uint32_t>> ExecRecords::numbers(const std::string& run) const {
  std::vector<std::uint32_t> out;
  auto names = sys::list_dir(runs_dir_, run + "/exec");
  if (!names && names.error().code == Errc::not_found) return out;
  for (const std::string& name : TRY(std::move(names))) {
    std::uint32_t number = 0;
    const char* const end = name.data() + name.size();
    if (std::from_chars(name.data(), end, number).ptr == end) out.push_back(number);
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<> ExecRecords::prune(const std::string& run, const std::vector<std::uint32_t>& live,
                            std::size_t keep) const {
  const auto all = TRY(numbers(run));
  std::size_t over = all.size() > keep ? all.size() - keep : 0;
  for (const std::uint32_t number : all) {
    if (over == 0) break;
    if (std::find(live.begin(), live.end(), number) != live.end()) continue;
    TRY(sys::remove_tree_at(runs_dir_, folder(run, number)));
    --over;
  }
  return ok();
}

}  // namespace tare::host
