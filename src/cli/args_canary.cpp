#include "cli/args_canary.h"

namespace tare::cli {

void add_canary_commands(CLI::App& app, Raw& raw, const Subgrammar& grammar) {
  CLI::App& canary = *grammar.add(
      app, "canary",
      "Secrets that may be in no environment, agent or runner: what has one is refused",
      "tare canary add deploy-key --file key", nullptr);
  canary.require_subcommand(1);
  auto* add = grammar.add(
      canary, "add", "Register one, from stdin or a file; 16 to 4096 bytes",
      "tare canary add deploy-key <key\n"
      "One line end (\\n or \\r\\n) at the end, of stdin or of a file, is left out.",
      [](const Raw& r) -> Result<Command> {
        return Command(CanaryAddCommand{r.name, r.from, r.json});
      });
  add->add_option("NAME", raw.name, "What a refusal calls it")->required();
  add->add_option("--file,--from-file", raw.from, "Read the value from FILE, not stdin")
      ->type_name("FILE");
  grammar.add_json(add);
  grammar.add_json(grammar.add(
      canary, "list", "List their names", "tare canary list",
      [](const Raw& r) -> Result<Command> { return Command(CanaryListCommand{r.json}); }));
  auto* remove = grammar.add(
      canary, "rm", "Forget them", "tare canary rm deploy-key",
      [](const Raw& r) -> Result<Command> { return Command(CanaryRemoveCommand{r.ids, r.json}); });
  remove->add_option("NAME", raw.ids, "As registered")->required();
  grammar.add_json(remove);
}

}  // namespace tare::cli
