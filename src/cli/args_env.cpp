#include "cli/args_env.h"

#include "cli/args_raw.h"

namespace tare::cli {
namespace {

constexpr const char* kEnvText = "Name, digest or source";

}  // namespace

Result<Command> make_env_build(const Raw& raw) {
  const auto refuse = [](const char* text) { return Error{Errc::invalid, text}; };
  const LimitOptions limits = TRY(limits_of(raw));
  if (!raw.base) {
    if (raw.source.empty()) return refuse("env build needs a SOURCE, or --from ENV -- COMMAND");
    if (!raw.command.empty() || raw.network || !raw.variables.empty() || limits != LimitOptions{})
      return refuse("a COMMAND, --network, --env-var and limits are for --from ENV");
    return Command(EnvBuildCommand{raw.source, raw.name, raw.rebuild, raw.json});
  }
  if (!raw.source.empty()) return refuse("env build takes a SOURCE or --from ENV, not both");
  EnvBuildFromCommand build;
  build.from = *raw.base;
  build.name = raw.name;
  build.argv = raw.command;
  if (build.name.empty()) return refuse("--from needs --name NAME for what is built");
  if (build.argv.empty()) {
    return refuse(
        "--from needs a command after `--`: tare env build --from ENV --name NAME -- "
        "COMMAND ...");
  }
  for (const auto& text : raw.variables) build.env.push_back(TRY(variable_of(text)));
  build.limits = limits;
  build.network = raw.network;
  build.rebuild = raw.rebuild;
  build.json = raw.json;
  return Command(std::move(build));
}

namespace {

void add_making(CLI::App& env, Raw& raw, const Subgrammar& grammar) {
  auto* build = grammar.add(
      env, "build", "Build an environment; show the progress",
      "tare env build debian:bookworm:apt,python3-minimal --name py\n"
      "  tare env build --from py --name py-jq --network -- sh -c 'apt-get update && apt-get "
      "install -y jq'\n"
      "With --from the command runs as root in a sandbox of ENV, and what it has changed is "
      "frozen.",
      make_env_build);
  build->add_option("SOURCE", raw.source, "What it is made from");
  build->add_option("--from", raw.base, "Run a command in this environment instead")
      ->type_name("ENV");
  build->add_option("--name", raw.name, "Name to use it by (else the source's text)")
      ->type_name("NAME");
  build->add_flag("--network", raw.network, "The command has the host's network, as a SOURCE has");
  build->add_option("--env-var,-e", raw.variables, "Set a variable for the command")
      ->type_name("NAME=VALUE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1);
  build->add_flag("--rebuild", raw.rebuild, "Also when it is there already");
  grammar.add_limits(build);
  grammar.add_json(build);
  auto* freeze = grammar.add(
      env, "freeze", "Make an environment of what a live session has changed",
      "tare env freeze 7xk2 --name py-requests\n"
      "It stands still meanwhile, and goes on. Not kept: /tmp, /var/tmp, /run, /output.",
      [](const Raw& r) -> Result<Command> {
        return Command(EnvFreezeCommand{r.id, r.name, r.json});
      });
  freeze->add_option("SESSION", raw.id, "Its id, or the start or end of one")->required();
  freeze->add_option("--name", raw.name, "Name of the new one")->type_name("NAME")->required();
  grammar.add_json(freeze);
}

void add_archives(CLI::App& env, Raw& raw, const Subgrammar& grammar) {
  auto* import = grammar.add(
      env, "import",
      "Make an environment of an archive: an OCI image (oci-archive, or its layout folder), what\n"
      "`docker save` writes, or a tar of a root file system; gzip, zstd and xz are undone",
      "tare env import alpine.tar --name alpine\n"
      "  docker save alpine | tare env import - --name alpine",
      [](const Raw& r) -> Result<Command> {
        return Command(EnvImportCommand{r.path, r.name, r.format, r.platform, r.ref, r.json});
      });
  import->add_option("FILE", raw.path, "The archive, a layout's folder, or - for stdin")
      ->required();
  import->add_option("--name", raw.name, "Name of the new one")->type_name("NAME")->required();
  import->add_option("--format", raw.format, "tar or image, when it could be either")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"tar", "image"}));
  import->add_option("--platform", raw.platform, "Of an image for several (this machine's)")
      ->type_name("OS/ARCH");
  import->add_option("--ref", raw.ref, "Of an archive with several images: which")
      ->type_name("NAME");
  grammar.add_json(import);
  auto* out = grammar.add(
      env, "export", "Write an environment as an archive, for podman, docker, skopeo or tar",
      "tare env export py py.tar\n"
      "  tare env export py - --format docker-archive --ref py:1 | docker "
      "load\n"
      "What is there already stays, unless --force says otherwise; a FIFO or a "
      "device is written\nthrough. The folder it is made in must be there.",
      [](const Raw& r) -> Result<Command> {
        const std::string format = r.format.empty() ? "oci-archive" : r.format;
        return Command(EnvExportCommand{r.ref, r.path, format, r.name, r.force, r.json});
      });
  out->add_option("ENV", raw.ref, kEnvText)->required();
  out->add_option("FILE", raw.path, "Where to; a folder for --format oci, - for stdout")
      ->required();
  out->add_option("--format", raw.format, "oci-archive (default), oci, docker-archive or tar")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"oci-archive", "oci", "docker-archive", "tar"}));
  out->add_option("--ref", raw.name, "The image's name in the archive")->type_name("NAME");
  out->add_flag("--force", raw.force, "Replace a file, or an OCI layout, that is there");
  grammar.add_json(out);
}

RegistryOptions registry_of(const Raw& r) {
  return {r.image, r.credentials, r.authority, r.insecure_http};
}

void add_registry_options(CLI::App* command, Raw& raw) {
  command->add_option("IMAGE", raw.image, "REGISTRY/NAME:TAG")->required();
  command
      ->add_option("--credentials", raw.credentials,
                   "File with USER:PASSWORD, readable by its owner alone; - for stdin")
      ->type_name("FILE");
  command->add_option("--ca", raw.authority, "Certificates (PEM) to trust besides the system's")
      ->type_name("FILE");
  command->add_flag("--insecure-http", raw.insecure_http, "Speak http to the registry");
}

void add_registries(CLI::App& env, Raw& raw, const Subgrammar& grammar) {
  auto* pull = grammar.add(
      env, "pull", "Make an environment of an image in a registry",
      "tare env pull docker.io/alpine:3.20 --name alpine", [](const Raw& r) -> Result<Command> {
        return Command(EnvPullCommand{registry_of(r), r.name, r.platform, r.json});
      });
  add_registry_options(pull, raw);
  pull->add_option("--name", raw.name, "Name of the new one")->type_name("NAME")->required();
  pull->add_option("--platform", raw.platform, "Of an image for several (this machine's)")
      ->type_name("OS/ARCH");
  grammar.add_json(pull);
  auto* push = grammar.add(
      env, "push", "Put an environment into a registry, as an image",
      "tare env push app registry.example/team/app:1 --credentials ~/.registry",
      [](const Raw& r) -> Result<Command> {
        return Command(EnvPushCommand{r.ref, registry_of(r), r.json});
      });
  push->add_option("ENV", raw.ref, kEnvText)->required();
  add_registry_options(push, raw);
  grammar.add_json(push);
}

void add_looking(CLI::App& env, Raw& raw, const Subgrammar& grammar) {
  grammar.add_json(
      grammar.add(env, "list", "List environments", "tare env list",
                  [](const Raw& r) -> Result<Command> { return Command(EnvListCommand{r.json}); }));
  auto* show = grammar.add(
      env, "show", "Show one environment", "tare env show py",
      [](const Raw& r) -> Result<Command> { return Command(EnvShowCommand{r.ref, r.json}); });
  show->add_option("ENV", raw.ref, kEnvText)->required();
  grammar.add_json(show);
  auto* verify = grammar.add(
      env, "verify",
      "Read all of an environment and say whether each byte, name and mode is as its digest says;\n"
      "else what differs first, with exit status 70. None named: all that is kept (environments,\n"
      "runners, agents' files, sessions, uploads), what is missing and what does not belong there",
      "tare env verify\n  tare env verify py --secrets", [](const Raw& r) -> Result<Command> {
        return Command(EnvVerifyCommand{r.ids, r.secrets, r.json});
      });
  verify->add_option("ENV", raw.ids, kEnvText);
  verify->add_flag("--secrets", raw.secrets,
                   "Look for the secrets that `tare secret` and `tare canary` know, too; one that "
                   "is found\nis named with its file, with exit status 73");
  grammar.add_json(verify);
}

void add_comparing(CLI::App& env, Raw& raw, const Subgrammar& grammar) {
  auto* diff = grammar.add(env, "diff",
                           "Say what FROM and TO differ in: configuration, packages, files",
                           "tare env diff py py-2026", [](const Raw& r) -> Result<Command> {
                             return Command(EnvDiffCommand{r.from, r.to, r.json});
                           });
  diff->add_option("FROM", raw.from, kEnvText)->required();
  diff->add_option("TO", raw.to, kEnvText)->required();
  grammar.add_json(diff);
}

void add_sweeping(CLI::App& env, Raw& raw, const Subgrammar& grammar) {
  grammar.add_json(
      grammar.add(env, "tree", "Show which environments stand on which", "tare env tree",
                  [](const Raw& r) -> Result<Command> { return Command(EnvTreeCommand{r.json}); }));
  auto* gc = grammar.add(env, "gc",
                         "Remove the layers that no environment, runner, agent, session and run "
                         "needs; runs may go on\n"
                         "and start. What Tare has not made stays: `tare env verify` names it",
                         "tare env gc --dry-run", [](const Raw& r) -> Result<Command> {
                           return Command(EnvGcCommand{r.dry_run, r.json});
                         });
  gc->add_flag("--dry-run", raw.dry_run, "Only say what would be removed");
  grammar.add_json(gc);
}

void add_naming(CLI::App& env, Raw& raw, const Subgrammar& grammar) {
  auto* fork = grammar.add(env, "fork",
                           "Begin an environment of your own with another one's files: the same\n"
                           "digest until you build or freeze upon it",
                           "tare env fork py mine", [](const Raw& r) -> Result<Command> {
                             return Command(EnvForkCommand{r.ref, r.name, r.json});
                           });
  fork->add_option("ENV", raw.ref, kEnvText)->required();
  fork->add_option("NAME", raw.name, "Name of the new one")->required();
  grammar.add_json(fork);
  auto* tag = grammar.add(env, "tag", "Give an environment another name", "tare env tag py py-2026",
                          [](const Raw& r) -> Result<Command> {
                            return Command(EnvTagCommand{r.ref, r.name, r.json});
                          });
  tag->add_option("ENV", raw.ref, kEnvText)->required();
  tag->add_option("NAME", raw.name, "Its further name")->required();
  grammar.add_json(tag);
  auto* remove = grammar.add(
      env, "rm",
      "Take names away; refused for the last name of what an agent or a run needs.\n"
      "What nothing needs any more stays on the disk until `tare env gc`",
      "tare env rm py-2026",
      [](const Raw& r) -> Result<Command> { return Command(EnvRemoveCommand{r.ids, r.json}); });
  remove->add_option("NAME", raw.ids, "A name; not a digest")->required();
  grammar.add_json(remove);
}

}  // namespace

void add_env_commands(CLI::App& app, Raw& raw, const Subgrammar& grammar) {
  auto* env = grammar.add(app, "env", "Environments: frozen file trees that agents run in",
                          "tare env list", nullptr);
  env->require_subcommand(1);
  add_making(*env, raw, grammar);
  add_archives(*env, raw, grammar);
  add_registries(*env, raw, grammar);
  add_looking(*env, raw, grammar);
  add_comparing(*env, raw, grammar);
  add_naming(*env, raw, grammar);
  add_sweeping(*env, raw, grammar);
}

}  // namespace tare::cli
