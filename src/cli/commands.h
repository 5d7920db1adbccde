// The commands of `tare`, one function each; `app.h` says what they have in common. A group of
// commands is a file cmd_<group>.cpp.
#pragma once

#include "base/result.h"
#include "cli/app.h"
#include "cli/args.h"
#include "fiber/context.h"

namespace tare::cli {

Result<int> run_command(const UpCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const DownCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const DoctorCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const VersionCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const HelpCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvBuildCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvBuildFromCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvForkCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvListCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvFreezeCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvImportCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvExportCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvPullCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvPushCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvShowCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvDiffCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvTreeCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvGcCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvTagCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvRemoveCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const EnvVerifyCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const CanaryAddCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const CanaryListCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const CanaryRemoveCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const SecretSetCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const SecretRotateCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const SecretListCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const SecretRemoveCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const AgentApplyCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const AgentListCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const AgentShowCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const RunnerAddCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const RunnerListCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const RunnerShowCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const RunnerRemoveCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const RunnerUseCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const RunnerBackCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const RunnerSwapCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const RunnerHistoryCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const RunCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const ProfilesCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const PostureCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const BenchCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const PsCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const LogsCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const InspectCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const ArtifactsCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const KillCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const RemoveCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const SessionNewCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const SessionHibernateCommand& command, App& app,
                        const fiber::Context& ctx);
Result<int> run_command(const SessionCheckpointCommand& command, App& app,
                        const fiber::Context& ctx);
Result<int> run_command(const SessionWakeCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const SessionForkCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const SessionListCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const SessionKillCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const ExecCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const AttachCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const ExecListCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const CopyCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const FileListCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const FileRemoveCommand& command, App& app, const fiber::Context& ctx);
Result<int> run_command(const FileMoveCommand& command, App& app, const fiber::Context& ctx);

}  // namespace tare::cli
