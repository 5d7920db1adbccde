#include "cli/args_secret.h"

namespace tare::cli {

namespace {

template <class SecretCommand>
Result<Command> make_secret(const Raw& raw) {
  return Command(SecretCommand{raw.name, raw.from, raw.json});
}

void add_value_options(CLI::App* command, Raw& raw, const Subgrammar& grammar) {
  command->add_option("NAME", raw.name, "1 to 63 characters of a-z 0-9 . _ -")->required();
  command->add_option("--file,--from-file", raw.from, "Read the value from FILE, not from stdin")
      ->type_name("FILE");
  grammar.add_json(command);
}

}  // namespace

void add_secret_commands(CLI::App& app, Raw& raw, const Subgrammar& grammar) {
  CLI::App& secret = *grammar.add(
      app, "secret", "The vault: secrets by name, encrypted on the disk, never shown again",
      "tare secret set openai-key --file key", nullptr);
  secret.require_subcommand(1);
  add_value_options(
      grammar.add(secret, "set", "Keep a new secret: 1 byte to 64 KiB, from stdin or a file",
                  "tare secret set openai-key <key\n"
                  "At a terminal it asks, and shows nothing of what is typed. One "
                  "line end at the end of the\nvalue is left out. No value is an "
                  "argument: every user of the host could read it there.",
                  make_secret<SecretSetCommand>),
      raw, grammar);
  add_value_options(
      grammar.add(secret, "rotate", "Give a secret another value; the next use has the new one",
                  "tare secret rotate openai-key <key", make_secret<SecretRotateCommand>),
      raw, grammar);
  grammar.add_json(grammar.add(
      secret, "list", "List their names, versions and times", "tare secret list",
      [](const Raw& r) -> Result<Command> { return Command(SecretListCommand{r.json}); }));
  auto* remove = grammar.add(
      secret, "rm", "Remove them for good", "tare secret rm openai-key",
      [](const Raw& r) -> Result<Command> { return Command(SecretRemoveCommand{r.ids, r.json}); });
  remove->add_option("NAME", raw.ids, "As listed")->required();
  grammar.add_json(remove);
}

}  // namespace tare::cli
