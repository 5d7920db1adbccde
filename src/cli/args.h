// The command line of `tare` as values: parse_args turns argv into one of these structs and does
// nothing else. What is wrong with a command line is found here, before anything is connected to or
// changed.
//
// Pure: the environment comes in as a struct. Errors: Errc::invalid with the fix in the message
// (main prints it and exits with 64). CLI11 is seen by args.cpp only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace tare::cli {

inline constexpr std::string_view kDefaultHome = "/var/lib/tare";
inline constexpr std::uint16_t kDefaultPort = 7419;

// What main found in the environment; "" is unset.
struct Environment {
  std::string home;       // TARE_HOME
  std::string url;        // TARE_URL
  std::string api_key;    // TARE_API_KEY
  std::string term = {};  // TERM
};

// Where the daemon is.
struct Target {
  std::string home{kDefaultHome};  // absolute
  std::string url;                 // "http://127.0.0.1:7419"; "" for the unix socket below home
  std::string api_key;             // for url
};

struct UpCommand {
  bool detach = false;
  // 0: any free one. Not set: 7419 for the default home, any free one for others beside it.
  std::optional<std::uint16_t> port;
  std::string user = "tare";
  std::optional<std::uint32_t> pool;  // sandboxes kept ready; not set: the launcher's default
};
struct DownCommand {};
struct DoctorCommand {
  bool json = false;
  std::string system_user;  // that tared would run as
};

// Limits that were asked for; those that were not are left to the agent or the defaults.
struct LimitOptions {
  std::optional<std::uint64_t> memory_bytes, disk_bytes, disk_inodes, output_bytes, time_ms;
  std::optional<std::uint32_t> cpu_millis, pids, open_files;

  friend bool operator==(const LimitOptions&, const LimitOptions&) = default;
};

struct EnvBuildCommand {
  std::string source, name;
  bool rebuild = false, json = false;
};
struct EnvBuildFromCommand {
  std::string from, name;
  std::vector<std::string> argv, env;  // "NAME=value"
  LimitOptions limits;
  bool network = false, rebuild = false, json = false;
};
struct EnvForkCommand {
  std::string ref, name;
  bool json = false;
};
struct EnvListCommand {
  bool json = false;
};
struct EnvFreezeCommand {
  std::string session, name;
  bool json = false;
};
struct EnvImportCommand {
  std::string path;  // "-": stdin; a folder is an OCI layout
  std::string name, format, platform, reference;
  bool json = false;
};
struct EnvExportCommand {
  std::string ref, path;  // "-": stdout
  std::string format = "oci-archive", reference;
  bool force = false;  // replace what is there
  bool json = false;
};
// How to get into a registry.
struct RegistryOptions {
  std::string image;
  std::string credentials;  // file with USER:PASSWORD, "-" for stdin, "" for none
  std::string authority;    // file with certificates
  bool insecure_http = false;
};
struct EnvPullCommand {
  RegistryOptions from;
  std::string name, platform;
  bool json = false;
};
struct EnvPushCommand {
  std::string ref;
  RegistryOptions to;
  bool json = false;
};
struct EnvShowCommand {
  std::string ref;
  bool json = false;
};
struct EnvDiffCommand {
  std::string from, to;
  bool json = false;
};
struct EnvTreeCommand {
  bool json = false;
};
struct EnvGcCommand {
  bool dry_run = false, json = false;
};
struct EnvTagCommand {
  std::string ref, name;
  bool json = false;
};
struct EnvRemoveCommand {
  std::vector<std::string> names;
  bool json = false;
};
struct EnvVerifyCommand {
  std::vector<std::string> refs;  // none: all
  bool secrets = false;           // look for them, too
  bool json = false;
};

struct CanaryAddCommand {
  std::string name, file;  // "": stdin
  bool json = false;
};
struct CanaryListCommand {
  bool json = false;
};
struct CanaryRemoveCommand {
  std::vector<std::string> names;
  bool json = false;
};

struct SecretSetCommand {
  std::string name, file;  // "": stdin
  bool json = false;
};
struct SecretRotateCommand {
  std::string name, file;
  bool json = false;
};
struct SecretListCommand {
  bool json = false;
};
struct SecretRemoveCommand {
  std::vector<std::string> names;
  bool json = false;
};

struct AgentApplyCommand {
  std::string directory;
  bool json = false;
};
struct AgentListCommand {
  bool json = false;
};
struct AgentShowCommand {
  std::string name;
  std::uint32_t version = 0;  // 0: the newest
  bool json = false;
};

struct RunnerAddCommand {
  std::string directory;
  bool json = false;
};
struct RunnerListCommand {
  bool json = false;
};
struct RunnerShowCommand {
  std::string runner;
  bool json = false;
};
struct RunnerRemoveCommand {
  std::vector<std::string> runners;
  bool json = false;
};
struct RunnerUseCommand {
  std::string runner, agent;
  std::uint32_t percent = 100;
  bool json = false;
};
struct RunnerBackCommand {
  std::string agent;
  bool json = false;
};
struct RunnerSwapCommand {
  std::string session, runner;  // "": the version added last
  bool json = false;
};
struct RunnerHistoryCommand {
  std::string agent;
  bool json = false;
};

// A file or folder of this machine and the name it gets below /input ("" for its own).
struct InputOption {
  std::string name, path;

  friend bool operator==(const InputOption&, const InputOption&) = default;
};

struct RunCommand {
  std::string agent;          // either this
  std::uint32_t version = 0;  // 0: the newest
  std::string environment;    // or this
  std::string runner;         // with an environment
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=value"
  std::vector<InputOption> inputs;
  LimitOptions limits;
  std::optional<std::string> user, profile;
  std::string out;  // where artifacts go; "" for nowhere
  std::string idempotency_key;
  bool with_stdin = false, json = false, dry_run = false, detach = false;
  bool tells_denied = true;  // on stderr, at the end
};

struct ProfilesCommand {
  bool json = false;
};
struct PostureCommand {
  std::string environment = "host";
  std::optional<std::string> user, profile;
  bool json = false;
};
struct BenchCommand {
  std::string only;  // a row; "": all
  std::optional<std::uint32_t> count;
  bool full = false, json = false;
};

struct SessionNewCommand {
  std::string agent;          // either this
  std::uint32_t version = 0;  // 0: the newest
  std::string environment;    // or this
  std::string runner;         // with an environment
  std::vector<std::string> env;
  LimitOptions limits;
  std::optional<std::string> user, profile;
  std::optional<std::uint64_t> idle_ms;
  bool kill_idle = false;  // else it hibernates
  std::optional<std::uint64_t> checkpoint_ms;
  bool durable = false;
  bool json = false;
};
struct SessionHibernateCommand {
  std::vector<std::string> ids;
  bool json = false;
};
struct SessionCheckpointCommand {
  std::vector<std::string> ids;
  bool json = false;
};
struct SessionWakeCommand {
  std::vector<std::string> ids;
  bool json = false;
};
struct SessionForkCommand {
  std::string id;
  std::uint32_t count = 1;
  bool json = false;
};
struct SessionListCommand {
  bool all = false, json = false;
};
struct SessionKillCommand {
  std::vector<std::string> ids;
  bool force = false, json = false;
};
struct ExecCommand {
  std::string session;
  std::vector<std::string> argv, env;
  std::string cwd, term;  // "": as the session has it
  bool with_stdin = false, terminal = false, detach = false, json = false;
};
struct AttachCommand {
  std::string session;
  std::uint32_t number = 0;
  bool with_stdin = false;
};
struct ExecListCommand {
  std::string session;
  bool json = false;
};
// One of the two paths is inside; "-" is our stdin or stdout.
struct CopyCommand {
  std::string session, from, to;
  bool fetch = false;  // from inside
};
struct FileListCommand {
  std::string session, path;
  bool json = false;
};
struct FileRemoveCommand {
  std::string session, path;
  bool recursive = false;
};
struct FileMoveCommand {
  std::string session, from, to;
  bool replace = false;
};

struct PsCommand {
  bool all = false, json = false;
  std::string agent;
  std::uint32_t limit = 50;
};
struct LogsCommand {
  std::string id;
  bool follow = false;
};
struct InspectCommand {
  std::string id;
};
struct ArtifactsCommand {
  std::string id, out;
  bool json = false;
};
struct KillCommand {
  std::vector<std::string> ids;
  bool json = false;
};
struct RemoveCommand {
  std::vector<std::string> ids;
  bool json = false;
};
struct VersionCommand {
  bool json = false;
};
struct HelpCommand {
  std::string text;
};

using Command = std::variant<
    UpCommand, DownCommand, DoctorCommand, EnvBuildCommand, EnvBuildFromCommand, EnvForkCommand,
    EnvFreezeCommand, EnvImportCommand, EnvExportCommand, EnvPullCommand, EnvPushCommand,
    EnvListCommand, EnvShowCommand, EnvTreeCommand, EnvGcCommand, EnvDiffCommand, EnvTagCommand,
    EnvRemoveCommand, EnvVerifyCommand, AgentApplyCommand, AgentListCommand, AgentShowCommand,
    RunnerAddCommand, RunnerListCommand, RunnerShowCommand, RunnerRemoveCommand, RunnerUseCommand,
    RunnerBackCommand, RunnerHistoryCommand, RunnerSwapCommand, RunCommand, ProfilesCommand,
    PostureCommand, BenchCommand, PsCommand, LogsCommand, InspectCommand, ArtifactsCommand,
    KillCommand, RemoveCommand, SessionNewCommand, SessionListCommand, SessionKillCommand,
    SessionHibernateCommand, SessionCheckpointCommand, SessionWakeCommand, SessionForkCommand,
    ExecCommand, AttachCommand, ExecListCommand, CopyCommand, FileListCommand, FileRemoveCommand,
    FileMoveCommand, VersionCommand, HelpCommand, CanaryAddCommand, CanaryListCommand,
    CanaryRemoveCommand, SecretSetCommand, SecretRotateCommand, SecretListCommand,
    SecretRemoveCommand>;

struct Invocation {
  Target target;
  Command command;
};

// `arguments` without the program's name.
Result<Invocation> parse_args(const std::vector<std::string>& arguments,
                              const Environment& environment);

}  // namespace tare::cli
