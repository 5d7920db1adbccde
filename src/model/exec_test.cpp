#include "model/exec.h"

#include <gmock/gmock.h>

#include "base/ids.h"
#include "model/exec_json.h"

namespace tare::model {
namespace {

Exec exec() {
  Exec e;
  e.run = "run_01m812hngsk8d1d69w9wnsfv1n";
  e.number = 3;
  e.request.argv = {"ls", "-l"};
  e.request.env = {"A=b"};
  e.request.cwd = "/tmp";
  e.request.terminal = TerminalSize{40, 120};
  e.state = ExecState::ended;
  e.created_ms = 1;
  e.outcome = Outcome{EndReason::exited, 4, 0, "exited with status 4"};
  return e;
}

TEST(Exec, is_read_as_it_was_written) {
  EXPECT_EQ(exec_from_json(to_json(exec())).value(), exec());
  Exec plain = exec();
  plain.request.terminal.reset();
  plain.state = ExecState::running;
  plain.outcome.reset();
  EXPECT_EQ(exec_from_json(to_json(plain)).value(), plain);
}

TEST(Exec, an_outcome_belongs_to_an_end_and_to_nothing_else) {
  Exec e = exec();
  e.state = ExecState::running;
  EXPECT_FALSE(exec_from_json(to_json(e)));
  e = exec();
  e.outcome.reset();
  EXPECT_FALSE(exec_from_json(to_json(e)));
}

TEST(Exec, what_cannot_work_is_refused_by_the_name_of_the_field) {
  const auto field_of = [](auto spoil) {
    ExecRequest request{.argv = {"ls"}};
    spoil(request);
    const auto checked = validate(request);
    return checked ? std::string("none") : checked.error().field;
  };
  EXPECT_EQ(field_of([](auto&) {}), "none");
  EXPECT_EQ(field_of([](auto& r) { r.argv.clear(); }), "argv");
  EXPECT_EQ(field_of([](auto& r) { r.env = {"A"}; }), "env[0]");
  EXPECT_EQ(field_of([](auto& r) { r.env = {"TARE_RUN=x"}; }), "env[0]");
  EXPECT_EQ(field_of([](auto& r) { r.cwd = "tmp"; }), "cwd");
}

TEST(Exec, a_terminal_has_a_size_that_can_be) {
  for (const char* text : {R"({"rows":0})", R"({"columns":4097})", R"({"rows":-1})",
                           R"({"rows":"x"})", R"({"colums":3})"}) {
    const Json json = parse_json(text).value();
    EXPECT_FALSE(read_terminal_size(Node(json))) << text;
  }
}

}  // namespace
}  // namespace tare::model
