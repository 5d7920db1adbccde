#include "cli/args_raw.h"

#include <charconv>
#include <filesystem>

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/text.h"
#include "cli/quantity.h"
#include "model/limits.h"

namespace tare::cli {
namespace {

// A name that is also its own wording on the command line, for messages.
template <class T, class Parse>
Result<> take(std::optional<T>& out, std::string_view option,
              const std::optional<std::string>& text, Parse parse) {
  if (text) out = TRY(parse(*text).context(option));
  return ok();
}

// As it is typed: tared would name the field of the API, and bytes.
template <class T, class Text>
Result<> within(const std::optional<T>& value, std::string_view option, T least, T most,
                Text text) {
  if (!value || (*value >= least && *value <= most)) return ok();
  return Error{Errc::invalid,
               fmt::format("{}: at least {}, at most {}", option, text(least), text(most))};
}

Result<> check_limits(const LimitOptions& limits) {
  using Bounds = model::LimitBounds;
  const auto plain = [](std::uint64_t number) { return number; };
  const auto cpus = [](std::uint32_t millis) { return fmt::format("{}", millis / 1000.0); };
  TRY(within(limits.memory_bytes, "--mem", Bounds::kMemoryMin, Bounds::kMemoryMax, format_size));
  TRY(within(limits.disk_bytes, "--disk", Bounds::kDiskMin, Bounds::kDiskMax, format_size));
  TRY(within(limits.output_bytes, "--output-limit", std::uint64_t{0}, Bounds::kOutputMax,
             format_size));
  TRY(within(limits.cpu_millis, "--cpus", Bounds::kCpuMin, Bounds::kCpuMax, cpus));
  TRY(within(limits.disk_inodes, "--inodes", Bounds::kInodesMin, Bounds::kInodesMax, plain));
  TRY(within(limits.pids, "--pids", Bounds::kPidsMin, Bounds::kPidsMax, plain));
  return within(limits.open_files, "--open-files", Bounds::kOpenFilesMin, Bounds::kOpenFilesMax,
                plain);
}

// "FILE" or "NAME=FILE". A path with a slash before the first = is a FILE, so any file can be
// named.
Result<InputOption> input_of(const std::string& text) {
  const auto equals = text.find('=');
  InputOption input;
  if (equals == std::string::npos || text.find('/') < equals) {
    input.path = text;
  } else {
    input.name = text.substr(0, equals);
    input.path = text.substr(equals + 1);
  }
  if (input.path.empty() || equals == 0) {
    return Error{Errc::invalid,
                 fmt::format("--input: {} is neither FILE nor NAME=FILE", quote(text))};
  }
  return input;
}

Result<> check_run(const RunCommand& run) {
  const auto refuse = [](std::string text) { return Error{Errc::invalid, std::move(text)}; };
  const bool ad_hoc = !run.environment.empty();
  if (run.agent.empty() && !ad_hoc) return refuse("run needs an AGENT, or --env ENV -- COMMAND");
  if (!run.agent.empty() && ad_hoc) {
    return refuse(
        fmt::format("run takes an AGENT or --env, not both; put `--` before the command: "
                    "tare run --env {} -- {} ...",
                    run.environment, run.agent));
  }
  if (run.environment == "host" && run.argv.empty())  // an image may name its own
    return refuse("run --env host needs a command after `--`: tare run --env host -- COMMAND ...");
  if (!ad_hoc && (run.user || run.profile))
    return refuse("--user and --profile are set by the agent, not by run");
  if (!ad_hoc && !run.runner.empty())
    return refuse(
        "--runner is for --env: an agent has its own; `tare runner use` gives it another");
  if (run.detach && run.with_stdin)
    return refuse("-i needs the client to stay: not together with --detach");
  if (run.detach && !run.out.empty()) {
    return refuse(
        "--out needs the client to stay: not together with --detach; fetch later with `tare "
        "artifacts "
        "ID --out DIR`");
  }
  if (run.dry_run && (run.detach || run.with_stdin || !run.out.empty())) {
    return refuse("--dry-run starts nothing: not together with --detach, -i or --out");
  }
  return ok();
}

}  // namespace

Result<> split_version(std::string_view text, std::string& name, std::uint32_t& version) {
  const auto at = text.find('@');
  name = std::string(text.substr(0, at));
  if (at == std::string_view::npos) return ok();
  const std::string_view number = text.substr(at + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), version);
  if (error != std::errc{} || end != number.data() + number.size() || version == 0) {
    return Error{
        Errc::invalid,
        fmt::format("AGENT: {}: after @ comes a version, such as stock-analyst@3", quote(text))};
  }
  return ok();
}

Result<std::uint64_t> parse_time(std::string_view text) {
  const std::uint64_t ms = TRY(parse_duration(text));
  if (ms <= model::LimitBounds::kTimeMaxMs) return ms;
  return Error{Errc::invalid, quote(text) + " is too long: at most " +
                                  format_duration(model::LimitBounds::kTimeMaxMs)};
}

Result<LimitOptions> limits_of(const Raw& raw) {
  LimitOptions limits;
  TRY(take(limits.memory_bytes, "--mem", raw.memory, parse_size));
  TRY(take(limits.disk_bytes, "--disk", raw.disk, parse_size));
  TRY(take(limits.output_bytes, "--output-limit", raw.output, parse_size));
  TRY(take(limits.cpu_millis, "--cpus", raw.cpus, parse_cpu_millis));
  TRY(take(limits.time_ms, "--timeout", raw.time, parse_time));
  limits.disk_inodes = raw.inodes;
  limits.pids = raw.pids;
  limits.open_files = raw.open_files;
  TRY(check_limits(limits));
  return limits;
}

Result<std::string> variable_of(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Error{Errc::invalid, fmt::format("--env-var: {} is not NAME=VALUE", quote(text))};
  }
  return text;
}

std::string_view command_in(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "--home" || word == "--url") {
      ++i;
    } else if (!word.starts_with('-')) {
      return word;
    }
  }
  return {};
}

Result<Command> make_run(const Raw& raw) {
  if (raw.profile == kExplain) return Command(ProfilesCommand{raw.json});
  RunCommand run;
  TRY(split_version(raw.agent, run.agent, run.version));
  if (raw.environment) {
    if (raw.environment->empty())
      return Error{Errc::invalid, "--env: the name of an environment is missing"};
    run.environment = *raw.environment;
  }
  run.runner = raw.runner;
  run.argv = raw.command;
  for (const auto& text : raw.variables) run.env.push_back(TRY(variable_of(text)));
  for (const auto& text : raw.inputs) run.inputs.push_back(TRY(input_of(text)));
  run.limits = TRY(limits_of(raw));
  run.user = raw.user;
  run.profile = raw.profile;
  run.out = raw.out;
  run.idempotency_key = raw.key;
  run.with_stdin = raw.with_stdin;
  run.json = raw.json;
  run.dry_run = raw.dry_run;
  run.detach = raw.detach;
  TRY(check_run(run));
  return Command(std::move(run));
}

Result<Command> make_agent_show(const Raw& raw) {
  AgentShowCommand show{.name = {}, .version = 0, .json = raw.json};
  TRY(split_version(raw.name, show.name, show.version));
  return Command(std::move(show));
}

Result<Target> target_of(const Raw& raw, const Environment& environment) {
  Target target;
  if (!raw.home.empty()) {
    target.home = raw.home;
  } else if (!environment.home.empty()) {
    target.home = environment.home;
  }
  std::error_code error;
  const auto absolute = std::filesystem::absolute(target.home, error);
  if (error)
    return Error{Errc::internal, fmt::format("--home {}: {}", target.home, error.message())};
  target.home = absolute.lexically_normal().string();
  while (target.home.size() > 1 && target.home.back() == '/') target.home.pop_back();
  target.url = !raw.url.empty() ? raw.url : !raw.home.empty() ? "" : environment.url;
  target.api_key = environment.api_key;
  return target;
}

}  // namespace tare::cli
