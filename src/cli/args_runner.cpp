#include "cli/args_runner.h"

#include "model/runner.h"

namespace tare::cli {
namespace {

constexpr const char* kRunner = "NAME (the one added last) or NAME@VERSION";

Result<Command> make_use(const Raw& raw) {
  RunnerUseCommand use{raw.ref, raw.agent, raw.count.value_or(100), raw.json};
  TRY(model::parse_runner_ref(use.runner));
  return Command(std::move(use));
}

void add_keeping(CLI::App& runner, Raw& raw, const Subgrammar& grammar) {
  auto* add = grammar.add(runner, "add",
                          "Freeze the folder DIR, with its runner.toml, as a version of a runner.\n"
                          "Agents have it when `tare runner use` says so",
                          "tare runner add python\n  tare runner add ./my-runner",
                          [](const Raw& r) -> Result<Command> {
                            return Command(RunnerAddCommand{r.directory, r.json});
                          });
  add->add_option("DIR", raw.directory,
                  "Folder with runner.toml; or python, node: those that come with Tare")
      ->required();
  grammar.add_json(add);
  grammar.add_json(grammar.add(
      runner, "list", "List runners", "tare runner list",
      [](const Raw& r) -> Result<Command> { return Command(RunnerListCommand{r.json}); }));
  auto* show = grammar.add(
      runner, "show", "Show one runner", "tare runner show python@1.0",
      [](const Raw& r) -> Result<Command> { return Command(RunnerShowCommand{r.ref, r.json}); });
  show->add_option("RUNNER", raw.ref, kRunner)->required();
  grammar.add_json(show);
  auto* remove = grammar.add(
      runner, "rm",
      "Remove versions of runners that no agent and no run needs; their files stay on the\n"
      "disk until `tare env gc`",
      "tare runner rm python@0.9",
      [](const Raw& r) -> Result<Command> { return Command(RunnerRemoveCommand{r.ids, r.json}); });
  remove->add_option("RUNNER", raw.ids, "NAME@VERSION")->required();
  grammar.add_json(remove);
}

void add_rolling_out(CLI::App& runner, Raw& raw, const Subgrammar& grammar) {
  auto* use = grammar.add(runner, "use", "Give an agent's runs this runner, from the next one on",
                          "tare runner use python@1.1 --agent stock-analyst --percent 10",
                          make_use);
  use->add_option("RUNNER", raw.ref, kRunner)->required();
  use->add_option("--agent", raw.agent, "Whose runs")->type_name("NAME")->required();
  use->add_option("--percent", raw.count,
                  "So many of them; the rest stay with what they have (100)")
      ->type_name("N")
      ->check(CLI::Range(1, 100));
  grammar.add_json(use);
  auto* back = grammar.add(
      runner, "back", "Give an agent the runner back that it had before",
      "tare runner back --agent stock-analyst",
      [](const Raw& r) -> Result<Command> { return Command(RunnerBackCommand{r.agent, r.json}); });
  back->add_option("--agent", raw.agent, "Whose runs")->type_name("NAME")->required();
  grammar.add_json(back);
  auto* history = grammar.add(
      runner, "history", "List which runners an agent had, the newest first",
      "tare runner history --agent stock-analyst", [](const Raw& r) -> Result<Command> {
        return Command(RunnerHistoryCommand{r.agent, r.json});
      });
  history->add_option("--agent", raw.agent, "Which agent")->type_name("NAME")->required();
  grammar.add_json(history);
}

void add_swap(CLI::App& runner, Raw& raw, const Subgrammar& grammar) {
  auto* swap = grammar.add(
      runner, "swap",
      "Give a live session another version of its runner. Its files stay, its\n"
      "programs are killed",
      "tare runner swap 7xk2 python@1.1", [](const Raw& r) -> Result<Command> {
        return Command(RunnerSwapCommand{r.id, r.ref, r.json});
      });
  swap->add_option("SESSION", raw.id, "Its id, or the start or end of one")->required();
  swap->add_option("RUNNER", raw.ref, kRunner);
  grammar.add_json(swap);
}

}  // namespace

void add_runner_commands(CLI::App& app, Raw& raw, const Subgrammar& grammar) {
  auto* runner = grammar.add(app, "runner",
                             "Runners: the platform's code in a sandbox, apart from environments",
                             "tare runner list", nullptr);
  runner->require_subcommand(1);
  add_keeping(*runner, raw, grammar);
  add_rolling_out(*runner, raw, grammar);
  add_swap(*runner, raw, grammar);
}

}  // namespace tare::cli
