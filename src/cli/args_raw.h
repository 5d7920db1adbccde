// From what the command line parser filled in (Raw) to the values of args.h, with every check that
// needs more than one option. Pure, but for the working directory that a relative --home is taken
// from. Errors: Errc::invalid with the fix. Private to args.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/args.h"

namespace tare::cli {

// What CLI11 writes into; turned into a Command by the function of the command that was given.
struct Raw {
  std::string home, url;
  bool detach = false, json = false, rebuild = false, all = false, follow = false,
       with_stdin = false, dry_run = false, secrets = false;
  std::optional<std::uint16_t> port;
  std::uint32_t limit = 50;
  std::string system_user = "tare";
  bool terminal = false, recursive = false, replace = false, force = false;
  std::string term, cwd, number, from, to, format, platform, path, image, credentials, authority;
  bool insecure_http = false;
  std::string source, name, ref, directory, agent, runner, id, out, key;
  std::vector<std::string> ids, inputs, variables, help_path, command;
  std::optional<std::string> environment, memory, cpus, disk, time, output, user, profile;
  std::optional<std::uint64_t> inodes;
  std::optional<std::uint32_t> pids, open_files, pool, count;
  std::optional<std::string> idle, on_idle, checkpoint, base;
  bool durable = false;
  bool network = false;
};

// --profile without a value.
inline constexpr std::string_view kExplain = "explain";

// Pieces that several commands have.
Result<std::uint64_t> parse_time(std::string_view text);  // ms; as long as a limit may be
Result<LimitOptions> limits_of(const Raw& raw);
Result<std::string> variable_of(const std::string& text);
// "name" or "name@3".
Result<> split_version(std::string_view text, std::string& name, std::uint32_t& version);

// The word that names the command, as far as can be told before anything is parsed: the first that
// is no option of `tare` itself, nor its value. A wrong guess costs time only: what is not
// understood is read once more, with all there is.
std::string_view command_in(const std::vector<std::string>& words);
Result<Command> make_run(const Raw& raw);
Result<Command> make_agent_show(const Raw& raw);
Result<Target> target_of(const Raw& raw, const Environment& environment);

}  // namespace tare::cli
