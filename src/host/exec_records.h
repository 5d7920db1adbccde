// What is kept of execs, in the folder of their run: exec/<number>/exec.json and the output log
// beside it. Not in the database: an exec ends with its sandbox at the latest, so nothing is to be
// done about one after a crash of the machine. Durable is only what somebody has made so. The
// newest kMaxKeptExecs of a run are kept.
//
// Owner: ExecService. Blocking, but on small files in the page cache. Errors: Errc::not_found.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/exec.h"

namespace tare::host {

inline constexpr std::size_t kMaxKeptExecs = 256;

class ExecRecords {
 public:
  // `runs_dir` is $TARE_HOME/runs, borrowed.
  explicit ExecRecords(int runs_dir) : runs_dir_(runs_dir) {}

  // "<run>/exec/<number>", below runs_dir.
  static std::string folder(const std::string& run, std::uint32_t number);

  // Makes its folder as well.
  Result<> create(const model::Exec& exec) const;
  Result<> save(const model::Exec& exec) const;
  // What was saved is durable, and its folder. Takes the disk's time.
  Result<> sync(const model::Exec& exec) const;
  Result<model::Exec> load(const std::string& run, std::uint32_t number) const;
  // In order; empty when there was none.
  Result<std::vector<std::uint32_t>> numbers(const std::string& run) const;
  // Removes those with the lowest numbers, down to `keep`, but for those in `live`.
  Result<> prune(const std::string& run, const std::vector<std::uint32_t>& live,
                 std::size_t keep) const;

 private:
  int runs_dir_;
};

}  // namespace tare::host
