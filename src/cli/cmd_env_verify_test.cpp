// tare env verify of all that is kept, against a real HTTP server.
#include <gmock/gmock.h>

#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/fake_tared.h"
#include "cli/render.h"

namespace tare::cli {
namespace {

using testing::HasSubstr;

http::Route answering(std::string events) {
  return {.method = http::Method::post,
          .path = "/v1/layers/verify",
          .handler = [events = std::move(events)](http::Exchange& ex) {
            return ex.reply({.status = 200, .headers = {}, .body = events});
          }};
}

constexpr std::string_view kLayer =
    R"({"event":"layer","digest":"sha256:1","entries":3,"bytes":1024}
{"event":"verified","kind":"layer","digest":"sha256:1","path":"store/layers/1",)"
    R"("entries":3,"bytes":1024,"needed_by":["environment a","runner r@1"],"needers":2,)";

TEST(VerifyCommand, what_is_intact_is_told_once_for_each_that_needs_it) {
  FakeTared fake({answering(std::string(kLayer) + R"("intact":true,"difference":""}
{"event":"verified","kind":"upload","digest":"sha256:2","needed_by":[],"intact":true}
{"event":"done","intact":true}
)")});
  EXPECT_EQ(status_of(fake, EnvVerifyCommand{{}, false, false}), kExitOk);
  EXPECT_EQ(fake.out(),
            "environment a: intact (3 files, 1K)\nrunner r@1: intact (3 files, 1K)\n"
            "uploads: intact (1 file)\n");
}

TEST(VerifyCommand,
     damage_and_what_is_extra_are_told_with_the_fix_and_nothing_reaches_the_terminal) {
  FakeTared fake(
      {answering(std::string(kLayer) + R"("intact":false,"difference":"x\u001b[2J","fix":"mend"}
{"event":"extra","kind":"stray","path":"store/\u001bjunk","fix":"look"}
{"event":"extra","kind":"unused","path":"store/layers/3","fix":"gc"}
{"event":"done","intact":false}
)")});
  EXPECT_EQ(status_of(fake, EnvVerifyCommand{{}, false, false}), kExitSoftware);
  const std::string out = fake.out();
  for (const char* owner : {"environment a", "runner r@1"})
    EXPECT_THAT(out, HasSubstr(std::string(owner) + ": DAMAGED: layer sha256:1: x"));
  EXPECT_THAT(out, HasSubstr("; mend\n"));
  EXPECT_THAT(out, HasSubstr("unused: store/layers/3: gc\n"));
  EXPECT_THAT(out, HasSubstr("EXTRA: store/"));
  EXPECT_EQ(out.find('\x1b'), std::string::npos);
}

TEST(VerifyCommand, json_has_every_object_and_everything_extra) {
  FakeTared fake({answering(std::string(kLayer) + R"("intact":true,"difference":""}
{"event":"extra","kind":"unused","path":"store/layers/3","fix":"gc"}
{"event":"done","intact":true}
)")});
  EXPECT_EQ(status_of(fake, EnvVerifyCommand{{}, false, true}), kExitOk);
  const Json report = parse_json(fake.out()).value();
  EXPECT_TRUE(flag_at(report, {"intact"}));
  EXPECT_EQ(array_at(report, "objects").size(), 1U);
  EXPECT_EQ(text_at(array_at(report, "extra").at(0), {"path"}), "store/layers/3");
}

TEST(VerifyCommand, an_answer_that_was_broken_off_is_no_verdict) {
  FakeTared fake({answering(std::string(kLayer) + R"("intact":true,"difference":""}
{"event":7}
[]
)")});
  EXPECT_EQ(status_of(fake, EnvVerifyCommand{{}, false, false}), kExitSoftware);
  EXPECT_THAT(fake.err(), HasSubstr("ended early"));
  EXPECT_EQ(fake.out(), "");
}

}  // namespace
}  // namespace tare::cli
