#include "model/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/random.h"

namespace tare::model {
namespace {

using testing::HasSubstr;
using Kind = EnvironmentSource::Kind;

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(EnvironmentSource, each_form_is_understood) {
  EXPECT_EQ(parse_environment_source("host").value().kind, Kind::host);
  EXPECT_EQ(parse_environment_source(kDigest).value().kind, Kind::digest);
  const auto name = parse_environment_source("py-3.11").value();
  EXPECT_EQ(name.kind, Kind::name);
  EXPECT_EQ(name.reference, "py-3.11");
  const auto debian = parse_environment_source("debian:bookworm:python3,g++,libc6").value();
  EXPECT_EQ(debian.kind, Kind::debian);
  EXPECT_EQ(debian.suite, "bookworm");
  EXPECT_THAT(debian.packages, testing::ElementsAre("g++", "libc6", "python3"));
  EXPECT_TRUE(parse_environment_source("debian:bookworm-backports").value().packages.empty());
}

TEST(EnvironmentSource, texts_with_one_meaning_have_one_spelling) {
  EXPECT_EQ(parse_environment_source("debian:bookworm:b1,a1,b1").value().text(),
            "debian:bookworm:a1,b1");
  for (const std::string& text : {std::string("host"), kDigest, std::string("py"),
                                  std::string("debian:sid"), std::string("debian:sid:aa,bb")}) {
    EXPECT_EQ(parse_environment_source(text).value().text(), text);
  }
}

TEST(EnvironmentSource, anything_else_is_refused_with_the_reason) {
  struct Case {
    std::string text;
    std::string_view why;
  };
  const Case kCases[] = {
      {"", "is not an environment"},
      {"Host", "is not an environment"},
      {"/bin", "is not an environment"},
      {"sha256:abc", "is not an environment"},
      {"debian:", "names \"\", which is not a Debian suite"},
      {"debian::python3", "is not a Debian suite"},
      {"debian:Bookworm:python3", "is not a Debian suite"},
      {"debian:../x:python3", "is not a Debian suite"},
      {"debian:bookworm:", "names \"\", which is not a Debian package"},
      {"debian:bookworm:python3,", "is not a Debian package"},
      {"debian:bookworm:python3, bash", "names \" bash\", which is not a Debian package"},
      {"debian:bookworm:a", "names \"a\", which"},
      {"debian:bookworm:Python3", "is not a Debian package"},
      {"debian:bookworm:-oops", "names \"-oops\", which"},
      {"debian:bookworm:python3:amd64", "is not a Debian package"},
      {"debian:bookworm:x;rm", "is not a Debian package"},
      {"debian:bookworm:" + std::string(129, 'a'), "is not a Debian package"},
      {"debian:bookworm:" + std::string(kMaxEnvironmentTextBytes, 'a'),
       "at most 32768 are allowed"},
  };
  for (const auto& [text, why] : kCases) {
    const auto source = parse_environment_source(text);
    ASSERT_FALSE(source.ok()) << text;
    EXPECT_EQ(source.error().code, Errc::invalid);
    EXPECT_THAT(source.error().message, HasSubstr(std::string(why)));
  }
}

TEST(EnvironmentSource, whatever_is_accepted_has_a_stable_canonical_text) {
  constexpr std::string_view kAlphabet = "abz09:,+-.debian host";
  SeededRandom random(71);
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = random.below(2) == 0 ? "debian:s:" : "";
    for (std::uint64_t n = random.below(20); n > 0; --n)
      text += kAlphabet[random.below(kAlphabet.size())];
    const auto source = parse_environment_source(text);
    if (!source.ok()) continue;
    ++accepted;
    const std::string canonical = source->text();
    ASSERT_EQ(parse_environment_source(canonical).value(), *source) << text;
    ASSERT_EQ(parse_environment_source(canonical).value().text(), canonical);
  }
  EXPECT_GT(accepted, 500);
}

TEST(EnvironmentJson, an_environment_comes_back_the_same) {
  Environment environment;
  environment.tenant = "default";
  environment.name = "py";
  environment.source = "debian:bookworm:python3";
  environment.digest = kDigest;
  environment.layers = {kDigest};
  environment.size_bytes = 5;
  environment.files = 6;
  environment.created_ms = 7;
  environment.build = "run_01aryz6s41tsv4rrffq69g5fav";
  EXPECT_EQ(environment_from_json(parse_json(to_text(to_json(environment))).value()).value(),
            environment);
  const Environment host{.tenant = "default",
                         .name = "host",
                         .source = "host",
                         .digest = {},
                         .layers = {},
                         .build = {}};
  EXPECT_EQ(environment_from_json(to_json(host)).value(), host);
}

TEST(EnvironmentJson, what_does_not_fit_is_refused) {
  const Environment host{.tenant = "default",
                         .name = "host",
                         .source = "host",
                         .digest = {},
                         .layers = {},
                         .build = {}};
  Json json = to_json(host);
  json.as_object()["state"] = "gone";
  EXPECT_THAT(environment_from_json(json).error().message,
              HasSubstr("allowed: ready, building, failed"));
  for (const EnvironmentState state :
       {EnvironmentState::ready, EnvironmentState::building, EnvironmentState::failed}) {
    EXPECT_EQ(environment_state_from(to_string(state)).value(), state);
  }
}

TEST(Environment, whether_it_is_reproducible_follows_from_its_digest_alone) {
  Environment one{.name = "imported", .source = "import:tar", .digest = kDigest};
  one.layers = {kDigest};
  Environment other = one;
  other.name = "frozen";
  other.source = "freeze:run_01aryz6s41tsv4rrffq69g5fav";
  for (const Environment& each : {one, other}) {
    const Json json = to_json(each);
    EXPECT_EQ(json.as_object().at("reproducible"), Json(true)) << each.name;
    // Also of a record of an earlier release, which said what it was made of.
    JsonObject before = json.as_object();
    before["reproducible"] = false;
    EXPECT_EQ(to_json(environment_from_json(before).value()), json);
  }
  EXPECT_EQ(to_json(Environment{.name = "host", .source = "host"}).as_object().at("reproducible"),
            Json(false));
}

}  // namespace
}  // namespace tare::model
