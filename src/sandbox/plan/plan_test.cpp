#include <fstream>
#include <sstream>

#include "base/random.h"
#include "sandbox/plan/codec.h"
#include "sandbox/plan/compile.h"
#include "sandbox/plan/render.h"

namespace tare::sandbox {
namespace {

// The filter's bytes change with the table; the goldens show only how long it is.
const std::string kFilter(80, '\x06');
const Walls kWalls = {kFilter, 6};

model::SandboxSpec spec() {
  model::SandboxSpec s;
  s.id = "run_01m812hngsk8d1d69w9wnsfv1n";
  s.hostname = "tare-wnsfv1n";
  s.layers = {"sha256:" + std::string(64, 'a'), "sha256:" + std::string(64, 'b')};
  s.argv = {"python3", "analyse.py", "--all"};
  s.env = {"PATH=/usr/bin:/bin", "HOME=/home/agent", "LANG=C.UTF-8", "TZ=UTC"};
  return s;
}

std::string golden_path(const std::string& name) {
  return std::string(TARE_SOURCE_DIR) + "/tests/golden/" + name;
}

// TARE_UPDATE_GOLDEN=1 writes the files anew; the difference is then reviewed like code.
void expect_golden(const std::string& name, const std::string& text) {
  if (std::getenv("TARE_UPDATE_GOLDEN") != nullptr) std::ofstream(golden_path(name)) << text;
  std::stringstream expected;
  expected << std::ifstream(golden_path(name)).rdbuf();
  EXPECT_EQ(text, expected.str()) << name;
}

void expect_plan(const std::string& name, const model::SandboxSpec& s) {
  const auto plans = compile(s, kWalls);
  ASSERT_TRUE(plans) << plans.error().message;
  expect_golden(name, render(s, *plans));
}

TEST(Compile, an_agents_plan_is_this) { expect_plan("plan_agent.txt", spec()); }

TEST(Compile, the_plan_of_a_host_run_with_input_and_limits_is_this) {
  model::SandboxSpec s = spec();
  s.layers.clear();
  s.host_root = true;
  s.with_input = true;
  s.with_stdin = true;
  s.limits.memory_bytes = std::uint64_t{64} << 20;
  s.limits.disk_bytes = std::uint64_t{1} << 30;
  s.limits.cpu_millis = 500;
  s.limits.time_ms = 10'000;
  expect_plan("plan_host.txt", s);
}

TEST(Compile, the_plan_of_an_environment_build_is_this) {
  model::SandboxSpec s = spec();
  s.layers.clear();
  s.host_root = true;
  s.uid = s.gid = 0;
  s.profile = model::Profile::build;
  s.network = model::Network::host;
  expect_plan("plan_build.txt", s);
}

TEST(Compile, the_plan_of_a_session_is_this) {
  model::SandboxSpec s = spec();
  s.session = true;
  s.argv.clear();
  expect_plan("plan_session.txt", s);
}

std::string shown(const std::vector<Step>& steps) {
  std::string out;
  for (const Step& step : steps) out += render_step(step) + "\n";
  return out;
}

TEST(Compile, the_plan_of_an_exec_is_this) {
  model::ExecSpec exec;
  exec.argv = {"ls", "-l"};
  exec.env = {"A=b"};
  exec.cwd = "/tmp";
  expect_golden("plan_exec.txt", shown(compile_exec(exec, spec(), kWalls).value()));
  exec.terminal = model::TerminalSize{40, 120};
  expect_golden("plan_exec_terminal.txt", shown(compile_exec(exec, spec(), kWalls).value()));
}

// Whatever confines the program of a run confines an exec: the same steps, in the same order.
TEST(Compile, an_exec_is_confined_by_the_steps_that_confine_the_runs_program) {
  const auto confines = [](const Step& step) {
    return is_program_step(step.op) && !is_last_step(step.op) && step.op != Op::argument &&
           step.op != Op::variable;
  };
  std::vector<Step> of_run, of_exec;
  for (const Step& step : compile(spec(), kWalls).value().all()) {
    if (confines(step)) of_run.push_back(step);
  }
  model::ExecSpec exec;
  exec.argv = {"ls"};
  const std::vector<Step> plan = compile_exec(exec, spec(), kWalls).value();
  for (const Step& step : plan) {
    if (confines(step)) of_exec.push_back(step);
  }
  EXPECT_EQ(shown(of_exec), shown(of_run));
}

TEST(Compile, an_exec_that_cannot_work_is_refused_by_name) {
  model::ExecSpec exec;
  EXPECT_THAT(compile_exec(exec, spec(), kWalls).error().message, ::testing::HasSubstr("argv"));
  exec.argv = {"ls"};
  exec.cwd = "tmp";
  EXPECT_THAT(compile_exec(exec, spec(), kWalls).error().message, ::testing::HasSubstr("cwd"));
}

TEST(Compile, the_same_spec_gives_the_same_bytes) {
  EXPECT_EQ(encode(compile(spec(), kWalls).value().base).value(),
            encode(compile(spec(), kWalls).value().base).value());
  EXPECT_EQ(encode(compile(spec(), kWalls).value().run).value(),
            encode(compile(spec(), kWalls).value().run).value());
}

struct Refusal {
  const char* name;
  void (*spoil)(model::SandboxSpec&);
  const char* says;
};

TEST(Compile, what_cannot_work_is_refused_by_name) {
  for (const Refusal& c : std::initializer_list<Refusal>{
           {"no argv", [](auto& s) { s.argv.clear(); }, "argv"},
           {"empty program", [](auto& s) { s.argv = {""}; }, "argv"},
           {"NUL in argv", [](auto& s) { s.argv.push_back(std::string("a\0b", 3)); }, "argv"},
           {"env without =", [](auto& s) { s.env.push_back("NAME"); }, "env"},
           {"env without name", [](auto& s) { s.env.push_back("=x"); }, "env"},
           {"NUL in env", [](auto& s) { s.env.push_back(std::string("A=\0", 3)); }, "env"},
           {"relative cwd", [](auto& s) { s.cwd = "home"; }, "cwd"},
           {"init's uid", [](auto& s) { s.uid = kInitUid; }, "user"},
           {"no root", [](auto& s) { s.layers.clear(); }, "environment"},
           {"no hostname", [](auto& s) { s.hostname.clear(); }, "hostname"},
       }) {
    model::SandboxSpec s = spec();
    c.spoil(s);
    const auto steps = compile(s, kWalls);
    ASSERT_FALSE(steps) << c.name;
    EXPECT_NE(steps.error().message.find(c.says), std::string::npos)
        << c.name << ": " << steps.error().message;
  }
}

// What a sandbox that waits was made by may say nothing of the run that gets it.
TEST(Compile, the_base_plan_is_the_same_for_every_run_of_a_kind) {
  model::SandboxSpec other = spec();
  other.id = "run_01m812hngsk8d1d69w9wnsfv1p";
  other.hostname = "other";
  other.argv = {"sh"};
  other.env = {"A=b"};
  other.cwd = "/tmp";
  other.with_stdin = other.with_input = true;
  other.limits.memory_bytes *= 2;
  other.limits.open_files = 64;
  EXPECT_EQ(compile(other, kWalls).value().base, compile(spec(), kWalls).value().base);
  other.uid = 0;
  EXPECT_NE(compile(other, kWalls).value().base, compile(spec(), kWalls).value().base);
}

TEST(Compile, no_profile_but_build_has_a_capability) {
  EXPECT_EQ(capabilities_of(model::Profile::strict), 0U);
  EXPECT_EQ(capabilities_of(model::Profile::standard), 0U);
  EXPECT_EQ(capabilities_of(model::Profile::build) >> 21 & 1, 0U);  // CAP_SYS_ADMIN
}

TEST(Codec, what_is_encoded_is_decoded) {
  const auto plans = compile(spec(), kWalls).value();
  EXPECT_EQ(decode(encode(plans.base).value()).value(), plans.base);
  EXPECT_EQ(decode(encode(plans.run).value()).value(), plans.run);
}

TEST(Codec, a_plan_cut_short_anywhere_is_refused) {
  const std::string bytes = encode(compile(spec(), kWalls).value().run).value();
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode(bytes.substr(0, size))) << size;
  EXPECT_FALSE(decode(bytes + '\0'));
}

TEST(Codec, damaged_bytes_never_read_outside_the_plan) {
  const std::string bytes = encode(compile(spec(), kWalls).value().run).value();
  SeededRandom random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = bytes;
    std::array<std::byte, 8> dice;
    random.fill(dice);
    std::uint64_t number = 0;
    std::memcpy(&number, dice.data(), sizeof number);
    damaged[number % damaged.size()] = static_cast<char>(number >> 56);
    (void)decode(damaged);  // under the address sanitizer in CI's sanitizer build
  }
}

TEST(Codec, execute_is_last_and_only_last) {
  EXPECT_FALSE(decode(encode({{Op::argument, "a", "", 0, 0}}).value()));
  EXPECT_FALSE(decode(encode({{Op::execute, "", "", 0, 0}, {Op::execute, "", "", 0, 0}}).value()));
  EXPECT_TRUE(decode(encode({{Op::execute, "", "", 0, 0}}).value()));
}

TEST(Codec, too_much_is_refused_before_it_is_built) {
  EXPECT_FALSE(encode({}));
  EXPECT_FALSE(encode(std::vector<Step>(kMaxPlanSteps + 1)));
  EXPECT_FALSE(encode(
      {{Op::argument, std::string(kMaxPlanBytes, 'a'), "", 0, 0}, {Op::execute, "", "", 0, 0}}));
}

}  // namespace
}  // namespace tare::sandbox
